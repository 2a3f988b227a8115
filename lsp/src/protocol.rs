//! The protocol's types, and how the features' plain data become them. No other file names a type of the protocol.
//!
//! In: findings, hovers, fixes, candidates with byte ranges, and the document that they are about. Out: what the editor
//! reads. Nothing is decided here.

pub(crate) use tower_lsp::lsp_types::{
    CodeActionKind, CodeActionParams, CodeActionResponse, CompletionParams, CompletionResponse,
    DidChangeConfigurationParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, DocumentFormattingParams, HoverParams, InitializeParams, InitializeResult, MessageType,
    Range, TextEdit, Url,
};

use std::collections::HashMap;

use eqlc::diagnostics::{Fix, Severity};
use eqlc::syntax::Span;
use tower_lsp::lsp_types as lsp;
pub(crate) use tower_lsp::lsp_types::Hover as HoverAnswer;

use crate::analysis::Finding;
use crate::completion::{Candidate, CandidateKind, Completions};
use crate::documents::{Change, Document};
use crate::fixes::QuickFix;
use crate::hover::Hover;
use crate::positions::{Encoding, Position};

/// The action that applies all fixes of a file; editors run it when a file is saved, if told so.
pub(crate) const FIX_ALL: CodeActionKind = CodeActionKind::new("source.fixAll.eql");

/// What the editor can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Editor {
    /// What its positions count.
    pub(crate) encoding: Encoding,
    /// Whether it shows the other places of a finding.
    pub(crate) related: bool,
}

impl Editor {
    /// Reads what the editor says about itself. UTF-8 is taken where it is offered: it is what the compiler counts.
    pub(crate) fn new(parameters: &InitializeParams) -> Editor {
        let general = parameters.capabilities.general.as_ref();
        let offered = general.and_then(|general| general.position_encodings.as_deref()).unwrap_or(&[]);
        let encoding =
            if offered.contains(&lsp::PositionEncodingKind::UTF8) { Encoding::Utf8 } else { Encoding::Utf16 };
        let text = parameters.capabilities.text_document.as_ref();
        let published = text.and_then(|text| text.publish_diagnostics.as_ref());
        Editor { encoding, related: published.and_then(|published| published.related_information).unwrap_or(false) }
    }

    /// What the server says about itself.
    pub(crate) fn answer(self) -> InitializeResult {
        let encoding = match self.encoding {
            Encoding::Utf8 => lsp::PositionEncodingKind::UTF8,
            Encoding::Utf16 => lsp::PositionEncodingKind::UTF16,
            Encoding::Utf32 => lsp::PositionEncodingKind::UTF32,
        };
        let sync = lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::INCREMENTAL),
            save: Some(lsp::TextDocumentSyncSaveOptions::Supported(true)),
            ..lsp::TextDocumentSyncOptions::default()
        };
        let actions = lsp::CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, FIX_ALL]),
            ..lsp::CodeActionOptions::default()
        };
        let completion = lsp::CompletionOptions {
            trigger_characters: Some(vec![".".to_owned(), "[".to_owned(), "|".to_owned()]),
            ..lsp::CompletionOptions::default()
        };
        InitializeResult {
            capabilities: lsp::ServerCapabilities {
                position_encoding: Some(encoding),
                text_document_sync: Some(sync.into()),
                hover_provider: Some(true.into()),
                code_action_provider: Some(actions.into()),
                completion_provider: Some(completion),
                document_formatting_provider: Some(lsp::OneOf::Left(true)),
                ..lsp::ServerCapabilities::default()
            },
            server_info: Some(lsp::ServerInfo {
                name: "eql-lsp".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        }
    }
}

/// A position as the editor wrote it.
pub(crate) fn position(position: lsp::Position) -> Position {
    Position { line: position.line, character: position.character }
}

/// The changes of a document.
pub(crate) fn changes(changes: Vec<lsp::TextDocumentContentChangeEvent>) -> Vec<Change> {
    let change = |change: lsp::TextDocumentContentChangeEvent| Change {
        range: change.range.map(|range| (position(range.start), position(range.end))),
        text: change.text,
    };
    changes.into_iter().map(change).collect()
}

/// A document with its name, as the editor sees it.
pub(crate) struct Shown<'a> {
    pub(crate) uri: &'a Url,
    pub(crate) document: &'a Document,
    pub(crate) editor: Editor,
}

impl Shown<'_> {
    fn range(&self, span: Span) -> Range {
        let outward = |position: Position| lsp::Position { line: position.line, character: position.character };
        let (start, end) = self.document.positions(span, self.editor.encoding);
        Range { start: outward(start), end: outward(end) }
    }

    /// All findings.
    pub(crate) fn diagnostics(&self) -> Vec<lsp::Diagnostic> {
        self.document.analysis().findings.iter().map(|finding| self.diagnostic(finding)).collect()
    }

    fn diagnostic(&self, finding: &Finding) -> lsp::Diagnostic {
        let mut message = finding.message.clone();
        let mut related = Vec::new();
        for (span, text) in finding.related.iter().filter(|(_, text)| !text.is_empty()) {
            let range = self.range(*span);
            if self.editor.related {
                let location = lsp::Location { uri: self.uri.clone(), range };
                related.push(lsp::DiagnosticRelatedInformation { location, message: text.clone() });
            } else {
                message.push_str(&format!("\nline {}: {text}", range.start.line + 1));
            }
        }
        lsp::Diagnostic {
            range: self.range(finding.span),
            severity: Some(match finding.severity {
                Severity::Error => lsp::DiagnosticSeverity::ERROR,
                Severity::Warning => lsp::DiagnosticSeverity::WARNING,
                Severity::Note => lsp::DiagnosticSeverity::INFORMATION,
            }),
            code: Some(lsp::NumberOrString::String(finding.code.to_owned())),
            source: Some("eqlc".to_owned()),
            message,
            related_information: Some(related).filter(|related| !related.is_empty()),
            ..lsp::Diagnostic::default()
        }
    }

    /// A hover.
    pub(crate) fn hover(&self, hover: Hover) -> lsp::Hover {
        let contents = lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: hover.markdown };
        lsp::Hover { contents: lsp::HoverContents::Markup(contents), range: Some(self.range(hover.span)) }
    }

    /// A change of the text.
    pub(crate) fn text_edit(&self, fix: &Fix) -> TextEdit {
        TextEdit { range: self.range(fix.span), new_text: fix.replacement.clone() }
    }

    fn edit<'f>(&self, fixes: impl IntoIterator<Item = &'f Fix>) -> lsp::WorkspaceEdit {
        let changes = HashMap::from([(self.uri.clone(), fixes.into_iter().map(|fix| self.text_edit(fix)).collect())]);
        lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() }
    }

    /// One fix to offer.
    pub(crate) fn quick_fix(&self, fix: &QuickFix<'_>) -> lsp::CodeActionOrCommand {
        lsp::CodeAction {
            title: fix.title.clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![self.diagnostic(fix.finding)]),
            edit: Some(self.edit([fix.fix])),
            is_preferred: Some(true),
            ..lsp::CodeAction::default()
        }
        .into()
    }

    /// All fixes at once.
    pub(crate) fn fix_all(&self, fixes: &[&Fix]) -> lsp::CodeActionOrCommand {
        lsp::CodeAction {
            title: "apply all fixes".to_owned(),
            kind: Some(FIX_ALL),
            edit: Some(self.edit(fixes.iter().copied())),
            ..lsp::CodeAction::default()
        }
        .into()
    }

    /// Candidates, in their order.
    pub(crate) fn completions(&self, found: Completions) -> CompletionResponse {
        let range = self.range(found.span);
        let item = |(index, candidate): (usize, Candidate)| lsp::CompletionItem {
            kind: Some(match candidate.kind {
                CandidateKind::Field => lsp::CompletionItemKind::FIELD,
                CandidateKind::Object => lsp::CompletionItemKind::MODULE,
                CandidateKind::Function => lsp::CompletionItemKind::FUNCTION,
                CandidateKind::Keyword => lsp::CompletionItemKind::KEYWORD,
                CandidateKind::Category => lsp::CompletionItemKind::CLASS,
                CandidateKind::Pipe => lsp::CompletionItemKind::EVENT,
            }),
            detail: Some(candidate.detail),
            documentation: candidate.documentation.map(|value| {
                lsp::Documentation::MarkupContent(lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value })
            }),
            sort_text: Some(format!("{index:04}")),
            text_edit: Some(lsp::TextEdit { range, new_text: candidate.text.clone() }.into()),
            label: candidate.text,
            ..lsp::CompletionItem::default()
        };
        let items = found.candidates.into_iter().enumerate().map(item).collect();
        CompletionResponse::List(lsp::CompletionList { is_incomplete: found.cut, items })
    }
}

/// Whether an action of a kind was asked for; a kind stands for all below it too.
pub(crate) fn wants(only: Option<&[CodeActionKind]>, kind: &CodeActionKind) -> bool {
    let covers = |wanted: &CodeActionKind| {
        let rest = kind.as_str().strip_prefix(wanted.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.as_str().is_empty())
    };
    only.is_none_or(|only| only.iter().any(covers))
}
