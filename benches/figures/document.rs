//! The document that the figures are written into: each block stands between two markers, and what is
//! around them is written by hand and stays as it is.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// `docs/benchmarks.md` of this repository, and the folder of its plots.
pub struct Document {
    docs: PathBuf,
    text: String,
}

impl Document {
    /// Reads it as it stands.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read() -> io::Result<Self> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs");
        let text = fs::read_to_string(docs.join("benchmarks.md"))?;
        Ok(Self { docs, text })
    }

    /// Puts a block in the place of the one between the markers of this name.
    ///
    /// # Errors
    /// If there are no such markers.
    pub fn fill(&mut self, name: &str, block: &str) -> io::Result<()> {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let missing = || io::Error::other(format!("docs/benchmarks.md has no place for {name}"));
        let (before, rest) = self.text.split_once(&begin).ok_or_else(missing)?;
        let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
        self.text = format!("{before}{begin}\n{block}\n{end}{after}");
        Ok(())
    }

    /// Writes a plot beside it, which it shows as `images/bench-NAME.svg`.
    ///
    /// # Errors
    /// If the plot cannot be written.
    pub fn draw(&self, name: &str, svg: &str) -> io::Result<()> {
        fs::write(self.docs.join("images").join(format!("bench-{name}.svg")), svg)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self) -> io::Result<()> {
        fs::write(self.docs.join("benchmarks.md"), &self.text)
    }
}

/// The head of a table of what must hold.
pub const MUSTS: &str = "| what | limit | measured | met |\n| --- | --- | --- | --- |\n";

/// A row of a table of what must hold.
#[must_use]
pub fn must(what: &str, limit: &str, measured: &str, met: bool) -> String {
    let met = if met { "yes" } else { "**no**" };
    format!("| {what} | {limit} | {measured} | {met} |\n")
}

/// A table of what must hold, of which not all need have been measured.
pub struct Musts {
    table: String,
    measured: bool,
}

impl Musts {
    /// An empty one. If `measured`, only what has been measured gets a row.
    #[must_use]
    pub fn new(measured: bool) -> Self {
        Self { table: MUSTS.into(), measured }
    }

    /// Adds a row. Without a figure nothing is met.
    pub fn add(
        &mut self,
        what: &str,
        limit: &str,
        value: Option<f64>,
        show: impl Fn(f64) -> String,
        met: impl Fn(f64) -> bool,
    ) {
        match value {
            Some(value) => self.table += &must(what, limit, &show(value), met(value)),
            None if self.measured => {}
            None => self.table += &must(what, limit, "not measured", false),
        }
    }

    /// The table.
    #[must_use]
    pub fn table(self) -> String {
        self.table
    }
}
