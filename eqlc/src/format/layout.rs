//! A page layout: documents of text, possible line breaks and indentation, printed within a width.
//!
//! In: a [`Doc`]. Out: text. A group is printed on one line if it fits and holds nothing that forces a break; else each of
//! its lines breaks. A fill breaks only where the next item would not fit. The method is Wadler's, in Prettier's variant
//! with suffixes for comments at the end of a line.

/// A document.
#[derive(Debug, Clone)]
pub(super) enum Doc {
    /// Text without a line break.
    Text(String),
    /// A blank, or a line break if the group breaks.
    Line,
    /// Nothing, or a line break if the group breaks and the line is not empty.
    SoftLine,
    /// A line break.
    HardLine,
    /// A line break, unless the line is still empty.
    FreshLine,
    /// Text that goes to the end of the line.
    Suffix(String),
    /// One behind the other.
    Concat(Vec<Doc>),
    /// One level deeper.
    Nest(Box<Doc>),
    /// On one line, if it fits; the flag says that it must break.
    Group(Box<Doc>, bool),
    /// Items with a `Line` between, as many on a line as fit.
    Fill(Vec<Doc>),
}

impl Doc {
    pub(super) fn text(text: impl Into<String>) -> Doc {
        Doc::Text(text.into())
    }

    pub(super) fn nest(self) -> Doc {
        Doc::Nest(Box::new(self))
    }

    pub(super) fn group(self) -> Doc {
        let forced = self.forced();
        Doc::Group(Box::new(self), forced)
    }

    /// Whether it holds something that cannot stay on one line.
    fn forced(&self) -> bool {
        match self {
            Doc::HardLine | Doc::FreshLine | Doc::Suffix(_) => true,
            Doc::Text(_) | Doc::Line | Doc::SoftLine => false,
            Doc::Concat(docs) | Doc::Fill(docs) => docs.iter().any(Doc::forced),
            Doc::Nest(doc) => doc.forced(),
            Doc::Group(_, forced) => *forced,
        }
    }
}

#[derive(Clone, Copy)]
enum Step<'d> {
    Doc(usize, bool, &'d Doc),
    Fill(usize, &'d [Doc]),
}

struct Page {
    output: String,
    column: usize,
    suffix: String,
}

impl Page {
    fn write(&mut self, text: &str) {
        self.output.push_str(text);
        self.column += text.chars().count();
    }

    fn break_line(&mut self, indent: usize) {
        self.end_line();
        self.output.push('\n');
        self.output.push_str(&" ".repeat(indent));
        self.column = indent;
    }

    fn end_line(&mut self) {
        self.output.truncate(self.output.trim_end_matches(' ').len());
        let suffix = std::mem::take(&mut self.suffix);
        self.output.push_str(&suffix);
    }

    /// A line break, or the right indentation where the line is still empty.
    fn fresh_line(&mut self, indent: usize) {
        let line = self.output.rsplit('\n').next().unwrap_or("");
        if !line.trim().is_empty() {
            return self.break_line(indent);
        }
        let start = self.output.len() - line.len();
        self.output.truncate(start);
        self.output.push_str(&" ".repeat(if start == 0 { 0 } else { indent }));
        self.column = indent;
    }
}

/// Prints a document, `width` columns wide where possible, two blanks a level.
pub(super) fn print(doc: &Doc, width: usize) -> String {
    let mut page = Page { output: String::new(), column: 0, suffix: String::new() };
    let mut steps = vec![Step::Doc(0, false, doc)];
    while let Some(step) = steps.pop() {
        let (indent, flat, doc) = match step {
            Step::Doc(indent, flat, doc) => (indent, flat, doc),
            Step::Fill(indent, rest) => {
                // The item before is out; decide about the line between it and the next.
                if let Some((next, rest)) = rest.split_first() {
                    let fits = page.suffix.is_empty() && fits(next, width.saturating_sub(page.column + 2));
                    if fits {
                        page.write(" ")
                    } else {
                        page.break_line(indent)
                    }
                    steps.push(Step::Fill(indent, rest));
                    steps.push(Step::Doc(indent, fits, next));
                }
                continue;
            }
        };
        match doc {
            Doc::Text(text) => page.write(text),
            Doc::Line if flat => page.write(" "),
            Doc::SoftLine if flat => {}
            Doc::Line | Doc::HardLine => page.break_line(indent),
            Doc::SoftLine | Doc::FreshLine => page.fresh_line(indent),
            Doc::Suffix(text) => page.suffix.push_str(text),
            Doc::Concat(docs) => steps.extend(docs.iter().rev().map(|doc| Step::Doc(indent, flat, doc))),
            Doc::Nest(doc) => steps.push(Step::Doc(indent + 2, flat, doc)),
            Doc::Group(doc, forced) => {
                let flat = flat || (!forced && fits(doc, width.saturating_sub(page.column)));
                steps.push(Step::Doc(indent, flat, doc));
            }
            Doc::Fill(items) => {
                if let Some((first, rest)) = items.split_first() {
                    steps.push(Step::Fill(indent, rest));
                    steps.push(Step::Doc(indent, flat, first));
                }
            }
        }
    }
    page.end_line();
    page.output
}

/// Whether the document fits on one line of `room` columns.
fn fits(doc: &Doc, room: usize) -> bool {
    let mut room = room;
    let mut rest = vec![doc];
    while let Some(doc) = rest.pop() {
        let width = match doc {
            Doc::Text(text) => text.chars().count(),
            Doc::Line => 1,
            Doc::SoftLine => 0,
            Doc::HardLine | Doc::FreshLine | Doc::Suffix(_) => return false,
            Doc::Concat(docs) => {
                rest.extend(docs.iter().rev());
                0
            }
            Doc::Fill(items) => {
                rest.extend(items.iter().rev());
                items.len().saturating_sub(1)
            }
            Doc::Nest(doc) => {
                rest.push(doc);
                0
            }
            Doc::Group(doc, forced) => {
                if *forced {
                    return false;
                }
                rest.push(doc);
                0
            }
        };
        match room.checked_sub(width) {
            Some(left) => room = left,
            None => return false,
        }
    }
    true
}
