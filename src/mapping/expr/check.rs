//! Gives every part of a formula a type, so that what runs can fail on values only.

use super::functions::{FUNCTIONS, Function, result};
use super::parse::{Expr, Fault, Part, chain_of, character, is_macro, parse};
use super::{Type, exact::Exact};
use crate::record::nearest::nearest;

/// Where the names of a formula lead.
pub(in crate::mapping) trait Names {
    /// The type of the value so far; `None` when formulas do not look into it.
    fn value(&self) -> Option<Type>;

    /// The place of a path of the source among those that are read, and its type. What leads nowhere has been told.
    fn path(&mut self, path: &str, character: usize) -> Option<(usize, Type)>;
}

/// A formula that was checked.
pub(in crate::mapping) struct Checked {
    pub(in crate::mapping) typed: Typed,
    pub(in crate::mapping) kind: Type,
}

/// A formula ready to be computed.
#[derive(Debug)]
pub(in crate::mapping) struct Typed(pub(super) Node);

/// A part of a formula whose type is known to fit.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Boolean(bool),
    Number(Exact),
    Text(String),
    /// The value so far.
    Value(Type),
    /// A path of the source, by its place among those that are read.
    Path(usize, Type),
    /// What a macro bound, by its depth.
    Bound(usize),
    Select(Box<Node>, String, Type),
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Has(Box<Node>),
    Default(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Minus(Box<Node>),
    Both(Box<Node>, Box<Node>),
    Either(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Same {
        negated: bool,
        one: Box<Node>,
        two: Box<Node>,
    },
    Order(Order, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    Sum(Sum, Box<Node>, Box<Node>),
    Fold {
        fold: Fold,
        list: Box<Node>,
        condition: Option<Box<Node>>,
        of: Box<Node>,
    },
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    Plus,
    Minus,
    Times,
    Over,
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Why a formula was refused: `None` when that has been told already.
type Refusal = Option<(usize, String)>;
type Made = Result<(Node, Type), Refusal>;
/// What a macro does: which, its condition, what it computes, the type of it all.
type Folded = (Fold, Option<Box<Node>>, Box<Node>, Type);

/// Checks a formula; `Err(None)` when what is wrong has been told already.
pub(in crate::mapping) fn check(text: &str, names: &mut dyn Names) -> Result<Checked, Option<Fault>> {
    let formula = parse(text).map_err(Some)?;
    let mut checker = Checker { text, names, bound: Vec::new() };
    match checker.part(&formula) {
        Ok((node, kind)) => Ok(Checked { typed: Typed(node), kind }),
        Err(refusal) => Err(refusal.map(|(at, message)| Fault { character: character(text, at), message })),
    }
}

struct Checker<'c> {
    text: &'c str,
    names: &'c mut dyn Names,
    /// Names that macros have bound, with the types of their elements.
    bound: Vec<(String, Type)>,
}

fn refused<T>(at: usize, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Some((at, message.into())))
}

fn boxed(made: (Node, Type)) -> Box<Node> {
    Box::new(made.0)
}

impl Checker<'_> {
    fn part(&mut self, part: &Part) -> Made {
        let at = part.at;
        if let Some(chain) = chain_of(part) {
            return self.chain(&chain, at);
        }
        match &part.expr {
            Expr::Null => Ok((Node::Null, Type::Null)),
            Expr::Boolean(flag) => Ok((Node::Boolean(*flag), Type::Boolean)),
            Expr::Text(text) => Ok((Node::Text(text.clone()), Type::Text)),
            Expr::Number(text) => match Exact::parse(text) {
                Some(number) => {
                    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
                    Ok((Node::Number(number), Type::Number { whole }))
                }
                None => refused(at, format!("{text} has more digits than are computed with")),
            },
            Expr::Name(name) => self.chain(std::slice::from_ref(name), at),
            Expr::List(parts) => {
                let (mut nodes, mut kind) = (Vec::new(), Type::Any);
                for part in parts {
                    let (node, of) = self.part(part)?;
                    kind = self.either(&kind, &of, part.at)?;
                    nodes.push(node);
                }
                Ok((Node::List(nodes), Type::List(Box::new(kind))))
            }
            Expr::Select(of, name) => {
                let (node, kind) = self.part(of)?;
                self.select(node, &kind, name, at)
            }
            Expr::Index(of, place) => {
                let (list, place) = (self.part(of)?, self.expect(place, &Type::WHOLE)?);
                match list.1.clone() {
                    Type::List(element) => Ok((Node::Index(boxed(list), Box::new(place)), *element)),
                    other => {
                        refused(at, format!("[...] takes an element of a list, and this is {}", other.name()))
                    }
                }
            }
            Expr::Not(of) => Ok((Node::Not(Box::new(self.expect(of, &Type::Boolean)?)), Type::Boolean)),
            Expr::Minus(of) => {
                let made = self.part(of)?;
                match made.1.clone() {
                    kind @ (Type::Number { .. } | Type::Duration) => Ok((Node::Minus(boxed(made)), kind)),
                    other => refused(at, format!("- takes a number, and this is {}", other.name())),
                }
            }
            Expr::If(condition, then, otherwise) => {
                let condition = self.expect(condition, &Type::Boolean)?;
                let (one, two) = (self.part(then)?, self.part(otherwise)?);
                let kind = self.either(&one.1, &two.1, otherwise.at)?;
                Ok((Node::If(Box::new(condition), boxed(one), boxed(two)), kind))
            }
            Expr::Binary(sign, one, two) => self.binary(sign, one, two),
            Expr::Call { on, name, arguments } => self.call(on.as_deref(), name, arguments, at),
        }
    }

    /// Names joined by dots: what a macro bound, the value so far, or a path of the source.
    fn chain(&mut self, chain: &[String], at: usize) -> Made {
        let (first, rest) = chain.split_first().map_or(("", chain), |(first, rest)| (first.as_str(), rest));
        if let Some(depth) = self.bound.iter().rposition(|(known, _)| known == first) {
            let kind = self.bound[depth].1.clone();
            return self.selects(Node::Bound(depth), kind, rest, at);
        }
        match (first, rest) {
            ("value", rest) => match self.names.value() {
                Some(kind) => self.selects(Node::Value(kind.clone()), kind, rest, at),
                None => refused(at, "formulas do not look into the value"),
            },
            ("record", []) => refused(at, "a formula takes fields of the record: record.NAME"),
            ("record", rest) => self.path(&rest.join("."), at),
            ("param", [name]) => self.path(&format!("@param.{name}"), at),
            ("mark", [name]) if matches!(name.as_str(), "row" | "key" | "index") => {
                self.path(&format!("@{name}"), at)
            }
            ("param" | "mark", _) => refused(at, "there are param.NAME, mark.row, mark.key and mark.index"),
            ("item", rest) => {
                let (node, kind) = self.path("@item", at)?;
                self.selects(node, kind, rest, at)
            }
            _ => self.path(&chain.join("."), at),
        }
    }

    fn path(&mut self, path: &str, at: usize) -> Made {
        let found = self.names.path(path, character(self.text, at));
        found.map(|(place, kind)| (Node::Path(place, kind.clone()), kind)).ok_or(None)
    }

    fn selects(&mut self, mut node: Node, mut kind: Type, names: &[String], at: usize) -> Made {
        for name in names {
            (node, kind) = self.select(node, &kind, name, at)?;
        }
        Ok((node, kind))
    }

    fn select(&mut self, of: Node, kind: &Type, name: &str, at: usize) -> Made {
        let Type::Record(parts) = kind else {
            return refused(at, format!(".{name} takes a part of an object, and this is {}", kind.name()));
        };
        match parts.iter().find(|(known, _)| known == name) {
            Some((_, part)) => Ok((Node::Select(Box::new(of), name.to_owned(), part.clone()), part.clone())),
            None => {
                let near = nearest(name, parts.iter().map(|(known, _)| known.as_str()));
                let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                refused(at, format!("the object has no part {name}{hint}"))
            }
        }
    }

    fn expect(&mut self, part: &Part, wanted: &Type) -> Result<Node, Refusal> {
        let (node, kind) = self.part(part)?;
        let fits = match (wanted, &kind) {
            (Type::Number { whole: true }, Type::Number { whole }) => *whole,
            (wanted, kind) => wanted.either(kind).is_some() && *kind != Type::Null,
        };
        if fits {
            Ok(node)
        } else {
            refused(part.at, format!("here {} is wanted, and this is {}", wanted.name(), kind.name()))
        }
    }

    fn either(&self, one: &Type, two: &Type, at: usize) -> Result<Type, Refusal> {
        match one.either(two) {
            Some(kind) => Ok(kind),
            None => refused(at, format!("this is {}, and {} stands beside it", two.name(), one.name())),
        }
    }

    fn binary(&mut self, sign: &str, one: &Part, two: &Part) -> Made {
        if matches!(sign, "&&" | "||") {
            let one = Box::new(self.expect(one, &Type::Boolean)?);
            let two = Box::new(self.expect(two, &Type::Boolean)?);
            let node = if sign == "&&" { Node::Both(one, two) } else { Node::Either(one, two) };
            return Ok((node, Type::Boolean));
        }
        let at = two.at;
        let (left, right) = (self.part(one)?, self.part(two)?);
        let kinds = (left.1.clone(), right.1.clone());
        match sign {
            "==" | "!=" => {
                self.either(&kinds.0, &kinds.1, at)?;
                let node = Node::Same { negated: sign == "!=", one: boxed(left), two: boxed(right) };
                Ok((node, Type::Boolean))
            }
            "in" => {
                let Type::List(element) = &kinds.1 else {
                    return refused(at, format!("in takes a list, and this is {}", kinds.1.name()));
                };
                self.either(element, &kinds.0, at)?;
                Ok((Node::In(boxed(left), boxed(right)), Type::Boolean))
            }
            "<" | "<=" | ">" | ">=" => {
                let kind = self.either(&kinds.0, &kinds.1, at)?;
                if matches!(kind, Type::List(_) | Type::Record(_) | Type::Null | Type::Any) {
                    return refused(at, format!("{} has no order", kind.name()));
                }
                let order = match sign {
                    "<" => Order::Less,
                    "<=" => Order::AtMost,
                    ">" => Order::More,
                    _ => Order::AtLeast,
                };
                Ok((Node::Order(order, boxed(left), boxed(right)), Type::Boolean))
            }
            _ => self.sum(sign, left, right, at),
        }
    }

    fn sum(&mut self, sign: &str, left: (Node, Type), right: (Node, Type), at: usize) -> Made {
        use Type as T;
        let kinds = (&left.1, &right.1);
        let (sum, kind) = match (sign, kinds.0, kinds.1) {
            ("+", T::Text, T::Text) => (Sum::Plus, T::Text),
            ("+", T::List(_), T::List(_)) => (Sum::Plus, self.either(kinds.0, kinds.1, at)?),
            ("+", T::Instant, T::Duration) | ("+", T::Duration, T::Instant) => (Sum::Plus, T::Instant),
            ("-", T::Instant, T::Duration) => (Sum::Minus, T::Instant),
            ("+", T::Date, T::Duration) | ("+", T::Duration, T::Date) => (Sum::Plus, T::Date),
            ("-", T::Date, T::Duration) => (Sum::Minus, T::Date),
            ("-", T::Instant, T::Instant) => (Sum::Minus, T::Duration),
            ("+", T::Duration, T::Duration) => (Sum::Plus, T::Duration),
            ("-", T::Duration, T::Duration) => (Sum::Minus, T::Duration),
            ("/", T::Number { whole: true }, T::Number { whole: true }) => {
                return refused(
                    at,
                    "CEL drops the rest of a division of whole numbers: write div(a, b, places), or a / double(b)",
                );
            }
            (_, T::Number { whole: one }, T::Number { whole: two }) => {
                let sum = match sign {
                    "+" => Sum::Plus,
                    "-" => Sum::Minus,
                    "*" => Sum::Times,
                    "/" => Sum::Over,
                    _ => Sum::Rest,
                };
                (sum, T::Number { whole: *one && *two })
            }
            (_, one, two) => {
                let hint = match (one, two) {
                    (T::Text, T::List(_) | T::Record(_)) | (T::List(_) | T::Record(_), T::Text) => "",
                    (T::Text, _) | (_, T::Text) => "; string(...) makes text of it",
                    _ => "",
                };
                return refused(
                    at,
                    format!("{sign} does not go with {} and {}{hint}", one.name(), two.name()),
                );
            }
        };
        Ok((Node::Sum(sum, boxed(left), boxed(right)), kind))
    }

    fn call(&mut self, on: Option<&Part>, name: &str, arguments: &[Part], at: usize) -> Made {
        match (on, name, arguments) {
            (None, "has", [part]) => {
                let (node, _) = self.part(part)?;
                return match node {
                    Node::Path(..) | Node::Select(..) => Ok((Node::Has(Box::new(node)), Type::Boolean)),
                    _ => refused(part.at, "has(...) takes a field"),
                };
            }
            (None, "default", [value, otherwise]) => {
                let (one, two) = (self.part(value)?, self.part(otherwise)?);
                let kind = self.either(&one.1, &two.1, otherwise.at)?;
                return Ok((Node::Default(boxed(one), boxed(two)), kind));
            }
            (Some(on), name, arguments) if is_macro(name) => return self.fold(on, name, arguments, at),
            _ => {}
        }
        let (mut nodes, mut kinds) = (Vec::new(), Vec::new());
        for part in on.into_iter().chain(arguments) {
            let (node, kind) = self.part(part)?;
            nodes.push(node);
            kinds.push(kind);
        }
        let named: Vec<_> = FUNCTIONS.iter().filter(|known| known.name == name).collect();
        let Some(known) = named.iter().find(|known| known.method == on.is_some()).or(named.first()) else {
            let names = FUNCTIONS.iter().map(|known| known.name);
            let more = ["has", "default", "all", "exists", "exists_one", "map", "filter"];
            let near = nearest(name, names.chain(more));
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            return refused(at, format!("there is no function {name}{hint}"));
        };
        match result(known.function, &kinds) {
            Some(kind) if known.method == on.is_some() => Ok((Node::Call(known.function, nodes), kind)),
            _ => {
                let given: Vec<String> = kinds.iter().map(Type::name).collect();
                refused(
                    at,
                    format!("{name} is not called so ({}); write {}", given.join(", "), known.example),
                )
            }
        }
    }

    fn fold(&mut self, on: &Part, name: &str, arguments: &[Part], at: usize) -> Made {
        let (list, kind) = self.part(on)?;
        let Type::List(element) = kind else {
            return refused(on.at, format!("{name} goes over a list, and this is {}", kind.name()));
        };
        let example = format!("{name} is written LIST.{name}(x, ...) with a name for the element");
        let (bound, condition, of) = match arguments {
            [Part { expr: Expr::Name(bound), .. }, of] => (bound, None, of),
            [Part { expr: Expr::Name(bound), .. }, condition, of] if name == "map" => {
                (bound, Some(condition), of)
            }
            _ => return refused(at, example),
        };
        self.bound.push((bound.clone(), (*element).clone()));
        let made = self.folded(name, condition, of, *element);
        self.bound.pop();
        let (fold, condition, of, kind) = made?;
        Ok((Node::Fold { fold, list: Box::new(list), condition, of }, kind))
    }

    fn folded(
        &mut self,
        name: &str,
        condition: Option<&Part>,
        of: &Part,
        element: Type,
    ) -> Result<Folded, Refusal> {
        let condition = match condition {
            Some(condition) => Some(Box::new(self.expect(condition, &Type::Boolean)?)),
            None => None,
        };
        if name == "map" {
            let made = self.part(of)?;
            let kind = Type::List(Box::new(made.1.clone()));
            return Ok((Fold::Map, condition, boxed(made), kind));
        }
        let of = Box::new(self.expect(of, &Type::Boolean)?);
        Ok(match name {
            "filter" => (Fold::Filter, None, of, Type::List(Box::new(element))),
            "all" => (Fold::All, None, of, Type::Boolean),
            "exists" => (Fold::Exists, None, of, Type::Boolean),
            _ => (Fold::ExistsOne, None, of, Type::Boolean),
        })
    }
}
