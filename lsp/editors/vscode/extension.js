// Starts `eql-lsp` and hands it the documents. Everything else is the server's or VS Code's.
"use strict";

const { window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async () => {
  const settings = workspace.getConfiguration("eql");
  const server = { command: settings.get("server.path") || "eql-lsp", args: ["--stdio"] };
  client = new LanguageClient("eql", "EQL", server, {
    // By path too: without an extension for TOML, VS Code takes such a file for plain text.
    documentSelector: [{ language: "eql" }, { language: "toml" }, { scheme: "file", pattern: "**/*.toml" }],
    initializationOptions: { schema: settings.get("schema"), dialect: settings.get("dialect") },
    synchronize: { configurationSection: "eql" },
  });
  try {
    await client.start();
  } catch (error) {
    window.showErrorMessage(`EQL: cannot start \`${server.command}\`: ${error.message}. Set eql.server.path to its full path.`);
  }
};

exports.deactivate = () => client?.stop();
