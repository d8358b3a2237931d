//! Reads the few commands that this database knows. It is not a parser of SQL.

use crate::bodies::Problem;

/// A command.
#[derive(Debug, PartialEq)]
pub enum Statement {
    /// `SELECT columns FROM planets [WHERE column = value]`. Without columns: all of them.
    Select {
        columns: Vec<Name>,
        table: Name,
        filter: Option<(Name, Operand)>,
    },
    /// `SELECT 1`
    Constant(Operand),
    /// `SELECT pg_sleep(seconds)`
    Sleep(Operand),
    /// `NOTIFY channel, 'payload'` or `SELECT pg_notify(channel, payload)`
    Notify {
        channel: Operand,
        payload: Operand,
        is_function: bool,
    },
    /// `LISTEN channel`
    Listen(String),
    /// `UNLISTEN channel`, or `UNLISTEN *`
    Unlisten(Option<String>),
    /// `DO $$ BEGIN RAISE NOTICE 'text'; END $$`
    Raise(String),
    Begin,
    Commit,
    Rollback,
    /// `DEALLOCATE name`, or `DEALLOCATE ALL`
    Deallocate(Option<String>),
}

/// A value in a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Text(String),
    Number(String),
    /// `$1` has the index 0.
    Parameter(usize),
}

/// The name of a table or a column, and where it stands in the query.
#[derive(Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub position: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word in lower case, or a quoted name.
    Word(String),
    Value(Operand),
    Symbol(char),
}

/// Reads statements, which are separated by semicolons.
pub fn parse(sql: &str) -> Result<Vec<Statement>, Problem> {
    let tokens = tokens(sql)?;
    let statements = tokens.split(|(token, _)| *token == Token::Symbol(';'));
    let end = sql.chars().count() + 1;
    statements.filter(|tokens| !tokens.is_empty()).map(|tokens| Parser { tokens, end }.statement()).collect()
}

/// Reads the one statement of a prepared query.
pub fn parse_one(sql: &str) -> Result<Statement, Problem> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Problem::new("42601", "a prepared statement is empty")),
        _ => Err(Problem::new("42601", "cannot insert multiple commands into a prepared statement")),
    }
}

fn tokens(sql: &str) -> Result<Vec<(Token, usize)>, Problem> {
    let mut tokens = Vec::new();
    let mut chars = sql.chars().enumerate().peekable();
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    while let Some((at, char)) = chars.next() {
        let position = at + 1;
        let mut rest_while = |is_part: &dyn Fn(char) -> bool| {
            let mut text = String::new();
            while let Some((_, next)) = chars.next_if(|(_, next)| is_part(*next)) {
                text.push(next);
            }
            text
        };
        let token = match char {
            _ if char.is_whitespace() => continue,
            '\'' | '"' => {
                let text = rest_while(&|next| next != char);
                if chars.next().is_none() {
                    return Err(Problem::new("42601", "unterminated quoted string").at(position));
                }
                if char == '"' { Token::Word(text) } else { Token::Value(Operand::Text(text)) }
            }
            '$' => {
                let number = rest_while(&|next| next.is_ascii_digit());
                match number.parse::<usize>() {
                    Ok(number @ 1..) => Token::Value(Operand::Parameter(number - 1)),
                    _ if number.is_empty() && chars.next_if(|(_, next)| *next == '$').is_some() => {
                        Token::Symbol('$')
                    }
                    _ => return Err(Problem::new("42P02", "there is no such parameter").at(position)),
                }
            }
            _ if char.is_ascii_digit() => {
                let rest = rest_while(&|next| next.is_ascii_digit() || next == '.');
                Token::Value(Operand::Number(format!("{char}{rest}")))
            }
            _ if is_word(char) => {
                let word = format!("{char}{}", rest_while(&is_word));
                Token::Word(word.to_lowercase())
            }
            _ => Token::Symbol(char),
        };
        tokens.push((token, position));
    }
    join_dollar_quotes(&mut tokens);
    Ok(tokens)
}

/// Removes the semicolons between `$$` and `$$`, which end no statement.
fn join_dollar_quotes(tokens: &mut Vec<(Token, usize)>) {
    let mut is_quoted = false;
    tokens.retain(|(token, _)| {
        is_quoted ^= *token == Token::Symbol('$');
        !(is_quoted && *token == Token::Symbol(';'))
    });
}

struct Parser<'a> {
    tokens: &'a [(Token, usize)],
    /// The position behind the query.
    end: usize,
}

impl Parser<'_> {
    fn statement(mut self) -> Result<Statement, Problem> {
        let start = self.position();
        let command = self.name()?.text;
        let statement = match &*command {
            "select" => self.select()?,
            "notify" => {
                let channel = Operand::Text(self.name()?.text);
                let payload = if self.takes(',') { self.operand()? } else { Operand::Text(String::new()) };
                Statement::Notify { channel, payload, is_function: false }
            }
            "listen" => Statement::Listen(self.name()?.text),
            "unlisten" if self.takes('*') => Statement::Unlisten(None),
            "unlisten" => Statement::Unlisten(Some(self.name()?.text)),
            "do" => self.raise()?,
            "begin" | "start" => {
                self.tokens = &[];
                Statement::Begin
            }
            "commit" | "end" => Statement::Commit,
            "rollback" => Statement::Rollback,
            "deallocate" => {
                let name = self.name()?.text;
                Statement::Deallocate((name != "all").then_some(name))
            }
            "copy" => return Err(Problem::new("0A000", "COPY is not supported").at(start)),
            _ => return Err(self.syntax_error(start)),
        };
        if self.tokens.is_empty() { Ok(statement) } else { Err(self.syntax_error(self.position())) }
    }

    fn select(&mut self) -> Result<Statement, Problem> {
        if let Some((Token::Value(_), _)) = self.tokens.first() {
            return self.operand().map(Statement::Constant);
        }
        let mut columns = Vec::new();
        if !self.takes('*') {
            columns.push(self.name()?);
            if let [Name { text, .. }] = &columns[..]
                && self.takes('(')
            {
                return self.function(&text.clone());
            }
            while self.takes(',') {
                columns.push(self.name()?);
            }
        }
        self.keyword("from")?;
        let table = self.name()?;
        if self.tokens.is_empty() {
            return Ok(Statement::Select { columns, table, filter: None });
        }
        self.keyword("where")?;
        let column = self.name()?;
        self.symbol('=')?;
        Ok(Statement::Select { columns, table, filter: Some((column, self.operand()?)) })
    }

    fn function(&mut self, name: &str) -> Result<Statement, Problem> {
        let position = self.position();
        let first = self.operand()?;
        let statement = match name {
            "pg_sleep" => Statement::Sleep(first),
            "pg_notify" => {
                self.symbol(',')?;
                Statement::Notify { channel: first, payload: self.operand()?, is_function: true }
            }
            _ => return Err(Problem::new("42883", format!("function {name} does not exist")).at(position)),
        };
        self.symbol(')')?;
        Ok(statement)
    }

    /// Finds the text of `RAISE NOTICE` in a block of code.
    fn raise(&mut self) -> Result<Statement, Problem> {
        let tokens = std::mem::take(&mut self.tokens);
        let found = tokens.windows(3).find_map(|tokens| match tokens {
            [(Token::Word(raise), _), (Token::Word(notice), _), (Token::Value(Operand::Text(text)), _)]
                if raise == "raise" && notice == "notice" =>
            {
                Some(Statement::Raise(text.clone()))
            }
            _ => None,
        });
        found.ok_or_else(|| Problem::new("0A000", "a DO block can only RAISE NOTICE 'text' here"))
    }

    fn take(&mut self) -> Option<&Token> {
        let ((token, _), rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(token)
    }

    fn takes(&mut self, symbol: char) -> bool {
        let is_next = matches!(self.tokens.first(), Some((Token::Symbol(next), _)) if *next == symbol);
        if is_next {
            self.take();
        }
        is_next
    }

    fn symbol(&mut self, symbol: char) -> Result<(), Problem> {
        if self.takes(symbol) { Ok(()) } else { Err(self.syntax_error(self.position())) }
    }

    fn name(&mut self) -> Result<Name, Problem> {
        let position = self.position();
        match self.take() {
            Some(Token::Word(text)) => Ok(Name { text: text.clone(), position }),
            _ => Err(self.syntax_error(position)),
        }
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), Problem> {
        let Name { text, position } = self.name()?;
        if text == keyword { Ok(()) } else { Err(self.syntax_error(position)) }
    }

    fn operand(&mut self) -> Result<Operand, Problem> {
        let position = self.position();
        match self.take() {
            Some(Token::Value(operand)) => Ok(operand.clone()),
            _ => Err(self.syntax_error(position)),
        }
    }

    fn position(&self) -> usize {
        self.tokens.first().map_or(self.end, |(_, position)| *position)
    }

    fn syntax_error(&self, position: usize) -> Problem {
        Problem::new("42601", "syntax error, or a command that this small database does not know")
            .at(position)
    }
}
