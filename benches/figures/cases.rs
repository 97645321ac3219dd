//! Figures of programs that measure several contenders in several cases: kept by case, contender and
//! measure, so that a part can be measured again.

use std::io;

use super::Figures;

/// Figures by case, contender and measure.
pub struct Cases {
    bench: &'static str,
    figures: Figures,
}

impl Cases {
    /// Those that this program has left so far, if it has.
    #[must_use]
    pub fn read(bench: &'static str) -> Self {
        Self { bench, figures: super::read(bench).unwrap_or_default() }
    }

    /// None yet.
    #[must_use]
    pub fn empty(bench: &'static str) -> Self {
        Self { bench, figures: Figures::new() }
    }

    /// Leaves them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self) -> io::Result<()> {
        super::write(self.bench, &self.figures)
    }

    /// One of them, if it was measured.
    #[must_use]
    pub fn get(&self, case: &str, contender: &str, measure: &str) -> Option<f64> {
        self.figures.get(&key(case, contender, measure)).copied()
    }

    /// Puts figures in the place of all that were there for this case and contender, so that those of
    /// different runs never stand side by side.
    pub fn put<'a>(
        &mut self,
        case: &str,
        contender: &str,
        figures: impl IntoIterator<Item = (&'a str, Option<f64>)>,
    ) {
        let all = key(case, contender, "");
        self.figures.retain(|name, _| !name.starts_with(&all));
        for (measure, value) in figures {
            if let Some(value) = value {
                self.figures.insert(key(case, contender, measure), value);
            }
        }
    }
}

fn key(case: &str, contender: &str, measure: &str) -> String {
    format!("{case} | {contender} | {measure}")
}

/// The middle one, or the mean of the two in the middle; nothing of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}
