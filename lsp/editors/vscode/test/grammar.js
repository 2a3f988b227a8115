// The grammars, asked through the engine that VS Code itself uses: for each case, words of a text and the scope that each
// must have. Ends with status 0 when all hold, 1 when not, 77 when the engine is not installed (`npm install`).
"use strict";

const fs = require("fs");
const path = require("path");

let textmate, oniguruma;
try {
  textmate = require("vscode-textmate");
  oniguruma = require("vscode-oniguruma");
} catch {
  console.log("skipped: vscode-textmate and vscode-oniguruma are not installed (npm install)");
  process.exit(77);
}

const syntaxes = path.join(__dirname, "..", "syntaxes");
// Stands for any extension's TOML grammar: strings and comments are all that the injection asks for.
const toml = {
  scopeName: "source.toml",
  patterns: [
    { name: "comment.line.toml", match: "#.*$" },
    { name: "string.quoted.triple.toml", begin: "'''", end: "'''" },
    { name: "string.quoted.double.toml", match: "\"[^\"]*\"" },
  ],
};

// [scope of the file, text, [[word, the scope that it must have], ...]]; words are looked for from left to right.
const cases = [
  ["source.eql", 'process where process.name == "ba\\"sh" and not length(process.args) > 3', [
    ["process", "entity.name.type.category"], ["where", "keyword.control"], ["process.name", "variable.other.field"],
    ["==", "keyword.operator.comparison"], ["ba", "string.quoted.double"], ["\\\"", "constant.character.escape"],
    ["sh", "string.quoted.double"], ["and", "keyword.operator.logical"], ["not", "keyword.operator.logical"],
    ["length", "support.function"], ["process.args", "variable.other.field"], ["3", "constant.numeric"]]],
  ["source.eql", 'sequence by host.id with maxspan=5m\n  [process where a in~ ("x", 1.5e3)] as e0\n  ![file where b like~ "y*"] by ?user.id with runs=3\nuntil [any where true]', [
    ["sequence", "keyword.control"], ["by", "keyword.control"], ["host.id", "variable.other.field"],
    ["maxspan", "keyword.other"], ["5", "constant.numeric"], ["m", "keyword.other.unit"],
    ["process", "entity.name.type.category"], ["in~", "keyword.operator.word"], ["x", "string"], ["1.5e3", "constant.numeric"],
    ["as", "keyword.control.as"], ["e0", "entity.name.tag.step"], ["!", "keyword.operator.missing"],
    ["file", "entity.name.type.category"], ["like~", "keyword.operator.word"], ["?", "keyword.operator.optional"],
    ["user.id", "variable.other.field"], ["runs", "keyword.other"], ["until", "keyword.control"],
    ["any", "keyword.other.any"], ["true", "constant.language"]]],
  ["source.eql", '// and\nany where /* or /* in */ x */ `where`.by == """raw "or" text""" or STRINGCONTAINS~(a.where, "") // "end', [
    ["and", "comment.line"], ["or", "comment.block"], ["x", "comment.block"], ["`where`", "variable.other.field.quoted"],
    ["raw", "string.quoted.triple"], ["or", "string.quoted.triple"], ["or", "keyword.operator.logical"],
    ["STRINGCONTAINS", "support.function"], ["~", "keyword.operator.fold"], ["a.where", "variable.other.field"],
    ["end", "comment.line"]]],
  ["source.eql", 'process where descendant of [process where true] and _arraysearch(x.y, $v, $v.z : "q") | head 5', [
    ["descendant of", "keyword.operator.lineage"], ["_arraysearch", "support.function"], ["$v", "variable.parameter"],
    [":", "keyword.operator.comparison"], ["|", "keyword.operator.pipe"], ["head", "support.function.pipe"]]],
  ["source.eql", '---\nid = "x" # and\nrisk_score = 47\n[[threat]]\n---\nprocess where a[0].b == null\n---', [
    ["---", "punctuation.definition.front-matter.begin"], ["id", "variable.other.key"], ["x", "string.quoted.double.toml"],
    ["and", "comment.line.number-sign"], ["47", "constant.numeric.toml"], ["threat", "entity.name.section"],
    ["---", "punctuation.definition.front-matter.end"], ["process", "entity.name.type.category"],
    ["a[0].b", "variable.other.field"], ["null", "constant.language"], ["-", "keyword.operator.arithmetic"]]],
  ["source.eql", 'process where process.name == "open\nand true', [["open", "string"], ["and", "keyword.operator.logical"]]],
  ["source.toml", 'name = "process where"\nquery = \'\'\'\nprocess where process.name == "x" // and\n\'\'\'\nnote = \'\'\'\nprocess where\n\'\'\'', [
    ["process where", "string.quoted.double.toml"], ["query", "variable.other.key.toml"], ["'''", "string"],
    ["process", "entity.name.type.category.eql"], ["process.name", "variable.other.field.eql"], ["and", "comment.line"],
    ["'''", "string"], ["process where", "string.quoted.triple.toml"]]],
];

function tokensOf(grammar, text) {
  const tokens = [];
  let state = textmate.INITIAL;
  let offset = 0;
  for (const line of text.split("\n")) {
    const result = grammar.tokenizeLine(line, state);
    for (const token of result.tokens) {
      tokens.push({ start: offset + token.startIndex, end: offset + token.endIndex, scopes: token.scopes });
    }
    state = result.ruleStack;
    offset += line.length + 1;
  }
  return tokens;
}

async function main() {
  const wasm = fs.readFileSync(path.join(path.dirname(require.resolve("vscode-oniguruma")), "onig.wasm")).buffer;
  await oniguruma.loadWASM(wasm);
  const files = { "source.eql": "eql.tmLanguage.json", "source.eql.in-toml": "eql-in-toml.tmLanguage.json" };
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async (scope) => {
      if (scope === "source.toml") return toml;
      return files[scope] && JSON.parse(fs.readFileSync(path.join(syntaxes, files[scope]), "utf8"));
    },
    getInjections: (scope) => (scope === "source.toml" ? ["source.eql.in-toml"] : undefined),
  });
  let failures = 0;
  let checks = 0;
  for (const [scope, text, expected] of cases) {
    const tokens = tokensOf(await registry.loadGrammar(scope), text);
    let from = 0;
    for (const [word, wanted] of expected) {
      checks += 1;
      let found;
      let at = from - 1;
      // The next place of the word where a token has the scope from the word's start to its end.
      do {
        at = text.indexOf(word, at + 1);
        const inside = tokens.filter((token) => token.start < at + word.length && token.end > at);
        found = at >= 0 && inside.length > 0 && inside.every((token) => token.scopes.some((name) => name.startsWith(wanted)));
      } while (at >= 0 && !found);
      if (found) {
        from = at + word.length;
      } else {
        failures += 1;
        const there = tokens.filter((token) => token.end > from).map((token) => `${JSON.stringify(text.slice(token.start, token.end))} ${token.scopes.slice(1).join(" ")}`);
        console.log(`\`${word}\` is not ${wanted} in\n${text}\n  ${there.slice(0, 8).join("\n  ")}`);
      }
    }
  }
  console.log(`${checks} scopes looked at, ${failures} wrong`);
  process.exit(failures ? 1 : 0);
}

main();
