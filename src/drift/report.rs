//! What is told about drift: as JSON, and as Markdown for a review.

use serde::Serialize;

use super::diff::{Change, Severity};
use crate::mapping::{Problem, Severity as ProblemSeverity};

/// All that has changed, and what that breaks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How many changes break something.
    pub breaking: usize,
    /// How many do not.
    pub compatible: usize,
    /// How many only look different.
    pub cosmetic: usize,
    /// The types with their changes; those without any are left out.
    pub types: Vec<TypeReport>,
    /// The mappings that use them.
    pub mappings: Vec<MappingReport>,
}

/// What has changed in one type.
#[derive(Debug, Clone, Serialize)]
pub struct TypeReport {
    /// Name of the connection.
    pub connection: String,
    /// Name of the type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The changes.
    pub changes: Vec<Change>,
}

/// What became of one mapping.
#[derive(Debug, Clone, Serialize)]
pub struct MappingReport {
    /// Its name.
    pub name: String,
    /// Its file, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether it cannot be used any more.
    pub breaks: bool,
    /// What is wrong with it, each with its repair.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Adds the changes of a type.
    pub fn add_type(&mut self, connection: &str, record_type: &str, changes: Vec<Change>) {
        for change in &changes {
            match change.severity {
                Severity::Breaking => self.breaking += 1,
                Severity::Compatible => self.compatible += 1,
                Severity::Cosmetic => self.cosmetic += 1,
            }
        }
        if !changes.is_empty() {
            let (connection, record_type) = (connection.to_owned(), record_type.to_owned());
            self.types.push(TypeReport { connection, record_type, changes });
        }
    }

    /// Adds a mapping with what is wrong with it.
    pub fn add_mapping(&mut self, name: &str, file: Option<String>, problems: Vec<Problem>) {
        let breaks = problems.iter().any(|problem| problem.severity == ProblemSeverity::Error);
        self.mappings.push(MappingReport { name: name.to_owned(), file, breaks, problems });
    }

    /// Whether something breaks.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.breaking > 0 || self.mappings.iter().any(|mapping| mapping.breaks)
    }

    /// The report as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::from("# Schema drift\n\n");
        out.push_str(&format!(
            "{} breaking, {} compatible, {} cosmetic.\n",
            self.breaking, self.compatible, self.cosmetic
        ));
        let broken: Vec<&MappingReport> = self.mappings.iter().filter(|mapping| mapping.breaks).collect();
        if !broken.is_empty() {
            out.push_str("\n## Mappings that break\n");
        }
        for mapping in broken {
            let file = mapping.file.as_ref().map(|file| format!(" ({})", code(file))).unwrap_or_default();
            out.push_str(&format!("\n- **{}**{file}\n", cell(&mapping.name)));
            for problem in mapping.problems.iter().filter(|one| one.severity == ProblemSeverity::Error) {
                let fix = problem.fix.as_ref().map(|fix| format!(". {}", cell(fix))).unwrap_or_default();
                out.push_str(&format!("  - {}: {}{fix}\n", code(&problem.pointer), cell(&problem.message)));
            }
        }
        for one in &self.types {
            out.push_str(&format!("\n## {} on {}\n\n", cell(&one.record_type), cell(&one.connection)));
            out.push_str(
                "| | direction | field | what changed | repair |\n| --- | --- | --- | --- | --- |\n",
            );
            for change in &one.changes {
                out.push_str(&format!(
                    "| {} | {} | {} | {} | {} |\n",
                    change.severity,
                    change.direction,
                    cell(&change.field),
                    cell(&change.message),
                    cell(change.repair.as_deref().unwrap_or_default())
                ));
            }
        }
        if self.types.is_empty() {
            out.push_str("\nThe schemas are as they were written down.\n");
        }
        out
    }
}

/// Text that stays in its cell and means nothing else.
fn cell(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' => vec!['\\', c],
            c if c.is_control() => vec![' '],
            c => vec![c],
        })
        .collect()
}

/// Text as code, in which nothing but a backtick means anything.
fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| {
            if c == '`' {
                '\''
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect();
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::diff::gone;
    use crate::record::schema::SchemaPurpose;

    #[test]
    fn the_markdown_of_a_report_names_what_breaks_first_and_means_nothing_else() {
        let mut report = Report::default();
        assert_eq!(
            report.to_markdown(),
            "# Schema drift\n\n0 breaking, 0 compatible, 0 cosmetic.\n\nThe schemas are as they were written down.\n"
        );
        report.add_type("sf", "Odd__c", vec![gone(SchemaPurpose::Read, "there is no type <b>Odd__c</b>|")]);
        report.add_mapping("fits", None, Vec::new());
        let mut problem = Problem::error("/fields/0/from", "no field *Old*");
        problem.fix = Some("Did you mean New?".to_owned());
        report.add_mapping("breaks", Some("a_b.mapping.json".to_owned()), vec![problem]);
        assert!(report.breaks());
        let markdown = report.to_markdown();
        let lines: Vec<&str> = markdown.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "# Schema drift",
                "",
                "1 breaking, 0 compatible, 0 cosmetic.",
                "",
                "## Mappings that break",
                "",
                "- **breaks** (`a_b.mapping.json`)",
            ]
        );
        assert_eq!(lines[7], r"  - `/fields/0/from`: no field \*Old\*. Did you mean New?");
        assert_eq!(lines[9], r"## Odd\_\_c on sf");
        assert!(lines[13].starts_with("| breaking | read |"), "{markdown}");
        assert!(lines[13].contains(r"\<b\>Odd\_\_c\</b\>\|"), "{markdown}");
        assert!(!markdown.contains("fits"));
    }
}
