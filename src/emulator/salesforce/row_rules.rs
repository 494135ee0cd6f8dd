//! What a row must keep to beside its values' own forms: unique fields, dependent picklists, hierarchies and
//! duplicate rules.

use serde_json::json;

use super::cell::Cell;
use super::describe::Kind;
use super::errors::Refusal;
use super::rows::{DuplicateRule, Place, folded};
use super::seed;
use super::write::{Refusals, Work};

/// How far up a hierarchy is followed.
const DEEPEST_HIERARCHY: usize = 500;
const MOST_DUPLICATES: usize = 100;
const DUPLICATE: &str =
    "You're creating a duplicate record. We recommend you use an existing record instead.";

impl Work<'_> {
    pub(super) fn check_unique(
        &self,
        table: usize,
        own: Option<Place>,
        cells: &[(usize, Cell)],
    ) -> Result<(), Refusals> {
        let object = self.store.object(table);
        for (number, cell) in cells.iter().filter(|(_, cell)| !cell.is_null()) {
            let Some(field) = object.fields.get(*number).filter(|field| field.unique) else { continue };
            let holder =
                self.store.find_by(table, *number, &cell.plain()).into_iter().find(|at| Some(*at) != own);
            if let Some(holder) = holder {
                return Err(vec![Refusal::of_fields(
                    "DUPLICATE_VALUE",
                    format!(
                        "duplicate value found: {} duplicates value on record with id: {}",
                        field.name,
                        self.store.id(holder).get(..15).unwrap_or_default()
                    ),
                    &[],
                )]);
            }
        }
        Ok(())
    }

    /// A restricted dependent picklist takes only values that its controller's value allows.
    pub(super) fn check_dependent(
        &self,
        table: usize,
        own: Option<Place>,
        cells: &[(usize, Cell)],
    ) -> Result<(), Refusals> {
        let object = self.store.object(table);
        for (number, cell) in cells {
            let Some(field) =
                object.fields.get(*number).filter(|field| field.restricted && field.kind == Kind::Picklist)
            else {
                continue;
            };
            let (Some(controller), Some(value)) = (field.controller, cell.as_text()) else { continue };
            let new = cells.iter().find(|(number, _)| *number == controller).map(|(_, cell)| cell.clone());
            let controlling =
                new.unwrap_or_else(|| own.map_or(Cell::Null, |at| self.store.cell(at, controller)));
            let place = seed::controlling_index(object.fields.get(controller), &controlling);
            let fits = place.is_some_and(|place| {
                field.picks.iter().any(|pick| pick.active && pick.value == value && pick.valid_for(place))
            });
            if !fits {
                return Err(vec![Refusal::of_fields(
                    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                    format!("{}: bad value for restricted picklist field: {value}", field.label),
                    &[&field.name],
                )]);
            }
        }
        Ok(())
    }

    /// A row cannot be its own parent, or that of one of its parents.
    pub(super) fn check_circle(&self, own: Place, cells: &[(usize, Cell)]) -> Result<(), Refusals> {
        let object = self.store.object(own.table);
        for (number, cell) in cells {
            let Some(field) = object.fields.get(*number).filter(|field| field.nillable) else { continue };
            if !self.store.targets(own.table, *number).contains(&own.table) {
                continue;
            }
            let mut next = cell.as_text().and_then(|id| self.store.locate(id));
            for _ in 0..DEEPEST_HIERARCHY {
                let Some(at) = next.filter(|at| at.table == own.table) else { break };
                if at == own {
                    return Err(vec![Refusal::of_fields(
                        "CIRCULAR_DEPENDENCY",
                        "attempt to violate hierarchy constraints",
                        &[&field.name],
                    )]);
                }
                let parent = self.store.cell(at, *number);
                next = parent.as_text().and_then(|id| self.store.locate(id)).filter(|next| *next != at);
            }
        }
        Ok(())
    }

    /// What the org's duplicate rules say about a row.
    pub(super) fn check_duplicates(
        &self,
        table: usize,
        own: Option<Place>,
        cells: &[(usize, Cell)],
    ) -> Result<(), Refusals> {
        for rule in self.store.duplicate_rules.iter().filter(|rule| rule.table == table) {
            let is_new = |field: usize| cells.iter().any(|(number, _)| *number == field);
            if (rule.allow_save && self.save_duplicates) || !rule.fields.iter().any(|field| is_new(*field)) {
                continue;
            }
            let value = |field: usize| {
                let new = cells.iter().find(|(number, _)| *number == field).map(|(_, cell)| cell.clone());
                new.unwrap_or_else(|| own.map_or(Cell::Null, |at| self.store.cell(at, field)))
            };
            let wanted: Vec<(usize, String)> =
                rule.fields.iter().map(|field| (*field, folded(&value(*field).plain(), true))).collect();
            if wanted.iter().any(|(_, text)| text.is_empty()) {
                continue;
            }
            let same = |at: &Place| {
                Some(*at) != own
                    && self.store.is_live(*at)
                    && wanted
                        .iter()
                        .all(|(field, text)| folded(&self.store.cell(*at, *field).plain(), true) == *text)
            };
            let found: Vec<Place> = (0..self.store.table(table).next)
                .map(|index| Place { table, index })
                .filter(same)
                .take(MOST_DUPLICATES)
                .collect();
            if !found.is_empty() {
                return Err(vec![self.duplicate(rule, &found)]);
            }
        }
        Ok(())
    }

    fn duplicate(&self, rule: &DuplicateRule, found: &[Place]) -> Refusal {
        let name = &self.store.object(rule.table).name;
        let records = found.iter().map(|at| {
            let id = self.store.id(*at);
            let url = format!("/services/data/{}/sobjects/{name}/{id}", self.version);
            json!({
                "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                "record": {"attributes": {"type": name, "url": url}, "Id": id},
            })
        });
        let result = json!({
            "allowSave": rule.allow_save, "duplicateRule": rule.name, "duplicateRuleEntityType": name,
            "errorMessage": DUPLICATE,
            "matchResults": [{
                "entityType": name, "errors": [], "matchEngine": "ExactMatchEngine",
                "matchRecords": records.collect::<Vec<_>>(), "rule": format!("{name}_Matching_Rule"),
                "size": found.len(), "success": true,
            }],
        });
        let mut refusal = Refusal::new("DUPLICATES_DETECTED", DUPLICATE);
        refusal.duplicates = Some(result.to_string());
        refusal
    }
}
