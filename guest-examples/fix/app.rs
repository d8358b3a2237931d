//! The application behind the codec `fix`: a market with one order book.
//!
//! | module | content |
//! |---|---|
//! | `message` | messages as lists of fields |
//! | `book` | the orders, and how they are matched |
//! | `price` | prices |

mod book;
mod message;
mod price;

use std::sync::{Arc, Mutex, PoisonError};

use wireplug::app::{Error, Json, State};
use wireplug::{App, Session};

use book::Book;
use message::{Fields, tag};

/// The CompID of this server.
const COMP_ID: &str = "BROKER";
const USERS: [&str; 2] = ["ann", "bob"];
const PASSWORD: &str = "secret";

#[derive(Default)]
struct Market(Mutex<Book>);

impl Market {
    fn with<T>(&self, use_book: impl FnOnce(&mut Book) -> T) -> T {
        use_book(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let market = Arc::new(Market::default());
    let ended = Arc::clone(&market);
    let app = App::with_state(market)
        .hello(hello)
        .route("fix.D", new_order)
        .route("fix.F", cancel)
        .on_closed(move |session, _| ended.with(|book| book.forget(session.id())));
    wireplug_gallery::serve(app).await
}

/// Decides on a Logon. The fields of the answer go into the server's Logon, or into its Logout.
async fn hello(Json(logon): Json<Fields>, session: Session) -> Result<Json<Fields>, Error> {
    let user = logon.get(tag::USERNAME);
    let knows = USERS.contains(&user) && logon.get(tag::PASSWORD) == PASSWORD;
    if !knows || logon.get(tag::TARGET_COMP_ID) != COMP_ID {
        let refusal = Fields::default().with(tag::TEXT, "unknown TargetCompID or user, or wrong password");
        return Err(Error::with_body(401, serde_json::to_vec(&refusal)?));
    }
    session.bind(user)?;
    Ok(Json(Fields::default().with(tag::TEXT, format!("welcome, {user}"))))
}

async fn new_order(Json(order): Json<Fields>, session: Session, market: State<Arc<Market>>) -> Json<Fields> {
    Json(market.0.with(|book| book.place(&order, session)))
}

async fn cancel(Json(request): Json<Fields>, session: Session, market: State<Arc<Market>>) -> Json<Fields> {
    Json(market.0.with(|book| book.cancel(&request, &session)))
}
