//! What a row must keep to beside its values' own forms: unique fields, dependent picklists.

use super::cell::Cell;
use super::describe::Kind;
use super::errors::Refusal;
use super::rows::Place;
use super::seed;
use super::write::{Refusals, Work};

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
}
