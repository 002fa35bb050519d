//! What a template reads, from its syntax tree.

use std::collections::HashMap;

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Stmt};
use minijinja::machinery::parse;

use crate::transform::reads::Reads;

/// A fact that a template reads, for the checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The steps of its path: `["region", "slug"]`. A subscript that isn't constant ends the path.
    pub path: Vec<String>,
    /// The line in the template, from 1.
    pub line: usize,
    /// The text that it is compared with by `==` or `!=`, or looked for in by `in`; one entry a text.
    pub compared_with: Option<String>,
}

/// Something of the template language that a template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// `x | name`
    Filter(String),
    /// `x is name`
    Test(String),
    /// `name(x)`
    Function(String),
}

/// What a template reads.
#[derive(Default)]
pub(super) struct Found {
    pub reads: Reads,
    /// Each mention of a fact, in order.
    pub variables: Vec<Variable>,
    /// Each mention of a filter, a test, a function, with its line.
    pub words: Vec<(Word, usize)>,
}

/// What a template reads.
///
/// # Errors
///
/// minijinja's, where the source doesn't parse.
pub(super) fn of(source: &str) -> Result<Found, minijinja::Error> {
    let tree = parse(source, "", minijinja::syntax::SyntaxConfig::default())?;
    let mut walk = Walk::default();
    walk.scopes.push(HashMap::new());
    walk.statement(&tree);
    Ok(walk.found)
}

/// Whether a name certainly is the template's own by now, or only where a branch was taken.
type Scope<'s> = HashMap<&'s str, bool>;

#[derive(Default)]
struct Walk<'s> {
    found: Found,
    scopes: Vec<Scope<'s>>,
}

impl<'s> Walk<'s> {
    fn statements(&mut self, statements: &[Stmt<'s>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// The names that a branch sets.
    fn branch(&mut self, statements: &[Stmt<'s>]) -> Scope<'s> {
        self.scopes.push(HashMap::new());
        self.statements(statements);
        self.scopes.pop().unwrap_or_default()
    }

    fn statement(&mut self, statement: &Stmt<'s>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                self.scopes.push(HashMap::from([("loop", true)]));
                self.assign(&each.target);
                each.filter_expr.iter().for_each(|filter| self.expression(filter));
                self.statements(&each.body);
                self.scopes.pop();
                self.branch(&each.else_body);
            }
            Stmt::IfCond(branches) => {
                self.expression(&branches.expr);
                let yes = self.branch(&branches.true_body);
                let no = self.branch(&branches.false_body);
                let names: Vec<&str> = yes.keys().chain(no.keys()).copied().collect();
                for name in names {
                    let is_certain = yes.get(name) == Some(&true) && no.get(name) == Some(&true);
                    self.set(name, is_certain);
                }
            }
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.assign(&set.target);
            }
            Stmt::WithBlock(with) => {
                self.scopes.push(HashMap::new());
                for (target, value) in &with.assignments {
                    self.expression(value);
                    self.assign(target);
                }
                self.statements(&with.body);
                self.scopes.pop();
            }
            Stmt::SetBlock(set) => {
                self.branch(&set.body);
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.assign(&set.target);
            }
            Stmt::AutoEscape(block) => {
                self.expression(&block.enabled);
                self.statements(&block.body);
            }
            Stmt::FilterBlock(block) => {
                self.expression(&block.filter);
                self.statements(&block.body);
            }
            Stmt::Do(call) => self.call(&call.call.expr, &call.call.args),
        }
    }

    fn set(&mut self, name: &'s str, is_certain: bool) {
        let known = self.scopes.iter().any(|scope| scope.get(name) == Some(&true));
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, is_certain || known);
        }
    }

    fn assign(&mut self, target: &Expr<'s>) {
        match target {
            Expr::Var(var) => self.set(var.id, true),
            Expr::List(list) => list.items.iter().for_each(|item| self.assign(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.assign(item)),
            // `a.b = 1` changes what `a` holds.
            other => self.expression(other),
        }
    }

    /// Reads a fact, or a name of the template's own.
    fn read(&mut self, steps: Vec<String>, line: u16, compared_with: Option<String>) {
        let name = steps.first().map_or("", String::as_str);
        let mut scopes = self.scopes.iter().rev();
        let own = scopes.find_map(|scope| scope.get(name).copied());
        if own == Some(true) {
            return;
        }
        self.found.reads.add_steps(&steps.iter().map(String::as_str).collect::<Vec<_>>());
        if own.is_none() {
            self.found.variables.push(Variable { path: steps, line: line.into(), compared_with });
        }
    }

    fn expression(&mut self, expression: &Expr<'s>) {
        if let Some((steps, line)) = path(expression) {
            self.read(steps, line, None);
            return;
        }
        match expression {
            // Both are paths; a constant reads nothing.
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::GetAttr(attribute) => self.expression(&attribute.expr),
            Expr::GetItem(item) => {
                self.expression(&item.expr);
                self.expression(&item.subscript_expr);
            }
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                let compares = matches!(operation.op, BinOpKind::Eq | BinOpKind::Ne | BinOpKind::In);
                if !(compares && self.comparison(&operation.left, &operation.right)) {
                    self.expression(&operation.left);
                    self.expression(&operation.right);
                }
            }
            Expr::Compare(chain) => match chain.ops.as_slice() {
                [only]
                    if matches!(
                        only.op,
                        CompareOpKind::Eq | CompareOpKind::Ne | CompareOpKind::In | CompareOpKind::NotIn
                    ) && self.comparison(&chain.expr, &only.expr) => {}
                ops => {
                    self.expression(&chain.expr);
                    ops.iter().for_each(|op| self.expression(&op.expr));
                }
            },
            Expr::IfExpr(branches) => {
                self.expression(&branches.test_expr);
                self.expression(&branches.true_expr);
                branches.false_expr.iter().for_each(|branch| self.expression(branch));
            }
            Expr::Filter(filter) => {
                self.name(Word::Filter(filter.name.to_owned()), filter.span().start_line);
                filter.expr.iter().for_each(|value| self.expression(value));
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                self.name(Word::Test(test.name.to_owned()), test.span().start_line);
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::Call(call) => self.call(&call.expr, &call.args),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|item| self.expression(item)),
        }
    }

    /// A path beside constant texts; `false` where it is something else.
    fn comparison(&mut self, left: &Expr<'s>, right: &Expr<'s>) -> bool {
        let (found, texts) = match (path(left), path(right)) {
            (Some(found), None) => (found, texts(right)),
            (None, Some(found)) => (found, texts(left)),
            _ => return false,
        };
        if texts.is_empty() {
            return false;
        }
        for text in texts {
            self.read(found.0.clone(), found.1, Some(text));
        }
        true
    }

    fn call(&mut self, callee: &Expr<'s>, arguments: &[CallArg<'s>]) {
        // A bare name is a function; a method reads what it is a method of.
        match callee {
            Expr::Var(function) => {
                let is_own = self.scopes.iter().any(|scope| scope.contains_key(function.id));
                if !is_own {
                    self.name(Word::Function(function.id.to_owned()), function.span().start_line);
                }
            }
            Expr::GetAttr(method) => self.expression(&method.expr),
            other => self.expression(other),
        }
        self.arguments(arguments);
    }

    fn name(&mut self, word: Word, line: u16) {
        self.found.words.push((word, line.into()));
    }

    fn arguments(&mut self, arguments: &[CallArg<'s>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }
}

/// The steps of `a.b['c'].0`, with the line; `None` for anything else.
fn path(expression: &Expr<'_>) -> Option<(Vec<String>, u16)> {
    match expression {
        Expr::Var(var) => Some((vec![var.id.to_owned()], var.span().start_line)),
        Expr::GetAttr(attribute) => {
            let (mut steps, line) = path(&attribute.expr)?;
            steps.push(attribute.name.to_owned());
            Some((steps, line))
        }
        Expr::GetItem(item) => {
            let Expr::Const(constant) = &item.subscript_expr else { return None };
            let (mut steps, line) = path(&item.expr)?;
            steps.push(constant.value.to_string());
            Some((steps, line))
        }
        _ => None,
    }
}

/// The constant texts of an expression: itself, or the members of a list.
fn texts(expression: &Expr<'_>) -> Vec<String> {
    let text = |expression: &Expr<'_>| match expression {
        Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
        _ => None,
    };
    let all = |items: &[Expr<'_>]| items.iter().map(text).collect::<Option<Vec<_>>>().unwrap_or_default();
    match expression {
        Expr::List(list) => all(&list.items),
        Expr::Tuple(tuple) => all(&tuple.items),
        other => text(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(source: &str) -> Vec<String> {
        of(source).unwrap().reads.iter().map(str::to_owned).collect()
    }

    #[test]
    fn paths_come_from_the_syntax_and_not_from_the_text() {
        for (source, expected) in [
            ("{{ session.cart.count }}", &["session.cart.count"][..]),
            ("{{ feature['de-banner'].title }} session", &["feature.de-banner"]),
            ("{{ session[\"cart\"]['count'] }}", &["session.cart.count"]),
            ("{{ session[region.id].x }}", &["region.id", "session"]),
            ("{% set s = session %}{{ s.cart }}", &["session"]),
            (
                "{% for i in session.items %}{{ i.name }}{{ loop.index }}{% else %}{{ i }}{% endfor %}",
                &["i", "session.items"],
            ),
            ("{% for k, v in session.x|items %}{{ k }}{{ v }}{% endfor %}", &["session.x"]),
            ("{% if a %}{% set session = 1 %}{% endif %}{{ session }}", &["a", "session"]),
            ("{% if a %}{% set c = 1 %}{% else %}{% set c = 2 %}{% endif %}{{ c }}", &["a"]),
            ("{{ 'session' }} session {# session #}", &[]),
            ("{{ loggedIn and country in ['DE', 'AT'] }}", &["country", "loggedIn"]),
            ("{{ x|default(deviceType) }}{{ range(network) }}", &["deviceType", "network", "x"]),
            ("{{ session.items[1:2] }}{{ session.list.0 }}", &["session.items", "session.list.0"]),
            ("{{ (session).tier if region.id == 'x' else -host }}", &["host", "region.id", "session.tier"]),
            ("{{ feature }}{{ {'a': path}['a'] }}", &["feature", "path"]),
            ("{{ session.get('x') }}{{ [segments][0] }}", &["segments", "session"]),
        ] {
            assert_eq!(reads(source), expected, "{source}");
        }
    }

    #[test]
    fn the_checker_hears_of_each_mention() {
        let found = of("{{ regoin.slug }}\n{% if region.id == 'NORDIC' or country in ['DE', 'AT'] %}{% endif %}")
            .unwrap()
            .variables;
        let found: Vec<_> = found
            .iter()
            .map(|variable| (variable.path.join("."), variable.line, variable.compared_with.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                ("regoin.slug".to_owned(), 1, None),
                ("region.id".to_owned(), 2, Some("NORDIC")),
                ("country".to_owned(), 2, Some("DE")),
                ("country".to_owned(), 2, Some("AT"))
            ]
        );
    }
}
