//! An editor for tests: it starts the built server and speaks JSON-RPC with it, waiting for every answer, so that a
//! session is the same each time. In: requests. Out: answers and the last diagnostics of each document.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

/// A running server and its editor.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    next_id: i64,
    /// The last published diagnostics of each document.
    pub published: HashMap<String, Value>,
    /// The messages for the user.
    pub shown: Vec<String>,
}

impl Client {
    /// Starts a server without greeting it.
    pub fn start(arguments: &[&str]) -> Client {
        let mut child = Command::new(env!("CARGO_BIN_EXE_eql-lsp"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Client { child, input, output, next_id: 0, published: HashMap::new(), shown: Vec::new() }
    }

    /// Starts a server and greets it; the answer is its capabilities.
    pub fn initialized(parameters: Value) -> (Client, Value) {
        let mut client = Client::start(&["--stdio"]);
        let answer = client.request("initialize", parameters);
        client.notify("initialized", json!({}));
        (client, answer)
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).expect("the server reads");
        input.flush().expect("the server reads");
    }

    /// Sends a message of any shape.
    pub fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, parameters: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": parameters}));
    }

    /// Sends a request and waits for its answer: the result, or the error.
    pub fn request(&mut self, method: &str, parameters: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !parameters.is_null() {
            message["params"] = parameters;
        }
        self.send(&message);
        loop {
            let message = self.receive().expect("the server answers");
            if message["id"] == json!(id) {
                return message.get("result").or(message.get("error")).cloned().unwrap_or(Value::Null);
            }
        }
    }

    /// Opens a document and waits for its diagnostics.
    pub fn open(&mut self, uri: &str, language: &str, text: &str) -> Value {
        let document = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
        self.diagnostics(uri)
    }

    /// Waits for the next diagnostics of a document.
    pub fn diagnostics(&mut self, uri: &str) -> Value {
        self.published.remove(uri);
        while !self.published.contains_key(uri) {
            self.receive().expect("the server publishes");
        }
        self.published[uri]["diagnostics"].clone()
    }

    /// The next message; `None` when the server has closed its output.
    pub fn receive(&mut self) -> Option<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).expect("headers are text") == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                header => {
                    if let Some(value) = header.strip_prefix("Content-Length: ") {
                        length = value.parse().expect("a number");
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("a whole message");
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        match message["method"].as_str() {
            Some("textDocument/publishDiagnostics") => {
                let uri = message["params"]["uri"].as_str().expect("a name").to_owned();
                self.published.insert(uri, message["params"].clone());
            }
            Some("window/showMessage") => {
                self.shown.push(message["params"]["message"].as_str().expect("a text").to_owned());
            }
            _ => {}
        }
        Some(message)
    }

    /// Closes the server's input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Reads what is left and waits for the server's end.
    pub fn wait(&mut self) -> ExitStatus {
        while self.receive().is_some() {}
        self.child.wait().expect("the server ends")
    }

    /// Ends the session in order.
    pub fn leave(mut self) {
        assert_eq!(self.request("shutdown", Value::Null), Value::Null);
        self.send(&json!({"jsonrpc": "2.0", "method": "exit"}));
        assert_eq!(self.wait().code(), Some(0));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A failed test must not leave a process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
