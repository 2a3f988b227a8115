//! The server: requests in, answers out.
//!
//! In: messages of one editor, one after the other. Out: answers, and diagnostics after every change. Each request is
//! handed to the file of its feature with the document it is about; a document that is not open has no answer, and a
//! panic in a feature costs that answer and nothing else.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eqlc::syntax::Span;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tower_lsp::jsonrpc::Result;
use tower_lsp::{Client, LanguageServer, LspService};

use crate::completion::complete;
use crate::documents::Document;
use crate::fixes::{all_fixes, quick_fixes};
use crate::formatting::format;
use crate::hover::hover;
use crate::protocol::{
    self, CodeActionKind, CodeActionParams, CodeActionResponse, CompletionParams, CompletionResponse,
    DidChangeConfigurationParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, DocumentFormattingParams, Editor, FIX_ALL, HoverParams, InitializeParams,
    InitializeResult, MessageType, Shown, TextEdit, Url,
};
use crate::settings::Settings;
use crate::transport::{Session, WatchedInput, WatchedService};

/// Serves one editor until it leaves. Gives the exit status that the protocol asks for.
pub async fn serve(input: impl AsyncRead + Unpin, output: impl AsyncWrite, settings: Settings) -> u8 {
    let session = Arc::new(Session::default());
    let state = Arc::new(Mutex::new(State { settings, editor: Editor::default(), documents: HashMap::new() }));
    let (outbox, letters) = mpsc::unbounded_channel();
    let mut client = None;
    let (inner, socket) = LspService::new(|editor| {
        client = Some(editor);
        Server { outbox, state: Arc::clone(&state) }
    });
    let service = WatchedService { inner, session: Arc::clone(&session) };
    let input = WatchedInput { inner: input, session: Arc::clone(&session) };
    // One message at a time: a change must not overtake the one before it.
    let requests = tower_lsp::Server::new(input, output, socket).concurrency_level(1).serve(service);
    tokio::select! {
        () = requests => {}
        () = deliver(client, letters, &state) => {}
    }
    session.exit_code()
}

/// Something that the editor did not ask for.
enum Letter {
    /// What is wrong with this document by now.
    Diagnostics(Url),
    /// A sentence for the user.
    Complaint(String),
}

/// Sends letters for as long as the editor is served. It stands beside the requests, so that no request waits for an
/// editor that does not read, or is gone; changes that came in the meantime are told once.
async fn deliver(client: Option<Client>, mut letters: mpsc::UnboundedReceiver<Letter>, state: &Mutex<State>) {
    let Some(client) = client else { return std::future::pending().await };
    while let Some(first) = letters.recv().await {
        let mut changed = Vec::new();
        let mut next = Some(first);
        while let Some(letter) = next {
            match letter {
                Letter::Diagnostics(uri) if changed.contains(&uri) => {}
                Letter::Diagnostics(uri) => changed.push(uri),
                Letter::Complaint(text) => client.show_message(MessageType::WARNING, format!("eql-lsp: {text}")).await,
            }
            next = letters.try_recv().ok();
        }
        for uri in changed {
            let found = |shown: &Shown<'_>, _: &Settings| Some((shown.diagnostics(), Some(shown.document.version)));
            // Nothing is wrong with a document that is closed.
            let (diagnostics, version) = ask(state, &uri, found).unwrap_or_default();
            client.publish_diagnostics(uri, diagnostics, version).await;
        }
    }
    // The server is gone first only when the requests have ended.
    std::future::pending().await
}

struct State {
    settings: Settings,
    editor: Editor,
    documents: HashMap<Url, Document>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a feature says about an open document.
fn ask<T>(state: &Mutex<State>, uri: &Url, feature: impl FnOnce(&Shown<'_>, &Settings) -> Option<T>) -> Option<T> {
    let state = lock(state);
    let document = state.documents.get(uri)?;
    let shown = Shown { uri, document, editor: state.editor };
    catch_unwind(AssertUnwindSafe(|| feature(&shown, &state.settings))).ok().flatten()
}

struct Server {
    outbox: mpsc::UnboundedSender<Letter>,
    state: Arc<Mutex<State>>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn post(&self, letter: Letter) {
        // There is no one to tell when the editor is no longer served.
        let _ = self.outbox.send(letter);
    }
}

#[tower_lsp::async_trait]
impl LanguageServer for Server {
    async fn initialize(&self, parameters: InitializeParams) -> Result<InitializeResult> {
        let editor = Editor::new(&parameters);
        let problems = {
            let mut state = self.state();
            state.editor = editor;
            parameters.initialization_options.map_or(Vec::new(), |options| state.settings.read(&options))
        };
        problems.into_iter().map(Letter::Complaint).for_each(|letter| self.post(letter));
        Ok(editor.answer())
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }

    async fn did_open(&self, parameters: DidOpenTextDocumentParams) {
        let opened = parameters.text_document;
        {
            let mut state = self.state();
            let path = opened.uri.path().to_owned();
            let document = Document::new(path, &opened.language_id, opened.version, opened.text, &state.settings);
            state.documents.insert(opened.uri.clone(), document);
        }
        self.post(Letter::Diagnostics(opened.uri));
    }

    async fn did_change(&self, parameters: DidChangeTextDocumentParams) {
        let changed = parameters.text_document;
        {
            let mut state = self.state();
            let State { settings, editor, documents } = &mut *state;
            let Some(document) = documents.get_mut(&changed.uri) else { return };
            let changes = protocol::changes(parameters.content_changes);
            document.change(changed.version, changes, editor.encoding, settings);
        }
        self.post(Letter::Diagnostics(changed.uri));
    }

    async fn did_save(&self, parameters: DidSaveTextDocumentParams) {
        if self.state().documents.contains_key(&parameters.text_document.uri) {
            self.post(Letter::Diagnostics(parameters.text_document.uri));
        }
    }

    async fn did_close(&self, parameters: DidCloseTextDocumentParams) {
        self.state().documents.remove(&parameters.text_document.uri);
        self.post(Letter::Diagnostics(parameters.text_document.uri));
    }

    async fn did_change_configuration(&self, parameters: DidChangeConfigurationParams) {
        let (problems, open) = {
            let mut state = self.state();
            let State { settings, documents, .. } = &mut *state;
            let problems = settings.read(&parameters.settings);
            documents.values_mut().for_each(|document| document.check(settings));
            (problems, documents.keys().cloned().collect::<Vec<_>>())
        };
        problems
            .into_iter()
            .map(Letter::Complaint)
            .chain(open.into_iter().map(Letter::Diagnostics))
            .for_each(|letter| self.post(letter));
    }

    async fn hover(&self, parameters: HoverParams) -> Result<Option<protocol::HoverAnswer>> {
        let at = parameters.text_document_position_params;
        Ok(ask(&self.state, &at.text_document.uri, |shown, settings| {
            let offset = shown.document.offset(protocol::position(at.position), shown.editor.encoding);
            hover(shown.document.analysis(), &settings.schema, offset).map(|found| shown.hover(found))
        }))
    }

    async fn code_action(&self, parameters: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        let only = parameters.context.only.as_deref();
        Ok(ask(&self.state, &parameters.text_document.uri, |shown, _| {
            let offset = |position| shown.document.offset(protocol::position(position), shown.editor.encoding);
            let (start, end) = (offset(parameters.range.start), offset(parameters.range.end));
            let analysis = shown.document.analysis();
            let mut actions = Vec::new();
            if protocol::wants(only, &CodeActionKind::QUICKFIX) {
                let fixes = quick_fixes(analysis, shown.document.text(), Span::new(start, end.max(start)));
                actions.extend(fixes.iter().map(|fix| shown.quick_fix(fix)));
            }
            let all = all_fixes(analysis);
            if !all.is_empty() && protocol::wants(only, &FIX_ALL) {
                actions.push(shown.fix_all(&all));
            }
            Some(actions)
        }))
    }

    async fn completion(&self, parameters: CompletionParams) -> Result<Option<CompletionResponse>> {
        let at = parameters.text_document_position;
        Ok(ask(&self.state, &at.text_document.uri, |shown, settings| {
            let offset = shown.document.offset(protocol::position(at.position), shown.editor.encoding);
            Some(shown.completions(complete(shown.document.analysis(), &settings.schema, offset)))
        }))
    }

    async fn formatting(&self, parameters: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>> {
        Ok(ask(&self.state, &parameters.text_document.uri, |shown, settings| {
            let change = format(shown.document, settings);
            Some(change.iter().map(|change| shown.text_edit(change)).collect())
        }))
    }
}
