//! An order book: limit orders of all symbols, matched by price and then by age.

use wireplug::Session;
use wireplug::session::SessionId;

use crate::message::{Fields, tag};
use crate::price::Price;

/// The largest number of open orders. A real market has limits for each client.
const MAX_ORDERS: usize = 10_000;

/// All open orders, the oldest first.
#[derive(Default)]
pub(crate) struct Book {
    orders: Vec<Order>,
    last_order: u64,
    last_report: u64,
}

struct Order {
    id: u64,
    owner: Session,
    cl_ord_id: String,
    symbol: String,
    side: Side,
    price: Price,
    quantity: u64,
    left: u64,
    /// What the traded part has cost.
    value: u128,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Buy,
    Sell,
}

/// Why an order is refused: OrdRejReason and a text.
struct Refused(u32, &'static str);

impl Order {
    /// Reads a NewOrderSingle.
    fn read(message: &Fields, owner: Session) -> Result<Self, Refused> {
        let side = match message.get(tag::SIDE) {
            "1" => Side::Buy,
            "2" => Side::Sell,
            _ => return Err(Refused(11, "only buying and selling are supported")),
        };
        if message.get(tag::ORD_TYPE) != "2" {
            return Err(Refused(11, "only limit orders are supported"));
        }
        let price = message.get(tag::PRICE).parse();
        let price = price.map_err(|_| Refused(99, "the price is not above 0 with at most 4 decimals"))?;
        let quantity: u32 = message.get(tag::ORDER_QTY).parse().unwrap_or(0);
        if quantity == 0 {
            return Err(Refused(13, "the quantity is not a number of pieces"));
        }
        Ok(Self {
            id: 0,
            owner,
            cl_ord_id: message.get(tag::CL_ORD_ID).to_owned(),
            symbol: message.get(tag::SYMBOL).to_owned(),
            side,
            price,
            quantity: quantity.into(),
            left: quantity.into(),
            value: 0,
        })
    }

    fn matches(&self, other: &Self) -> bool {
        let crosses = match self.side {
            Side::Buy => other.price <= self.price,
            Side::Sell => other.price >= self.price,
        };
        self.symbol == other.symbol && self.side != other.side && crosses
    }

    fn trade(&mut self, quantity: u64, price: Price) {
        self.left -= quantity;
        self.value += price.times(quantity);
    }

    /// Returns an ExecutionReport, without the fields that only some of them have.
    fn report(&self, report: u64, exec_type: &str, status: &str) -> Fields {
        let traded = self.quantity - self.left;
        Fields::of("8")
            .with(tag::ORDER_ID, self.id)
            .with(tag::CL_ORD_ID, &self.cl_ord_id)
            .with(tag::EXEC_ID, report)
            .with(tag::EXEC_TYPE, exec_type)
            .with(tag::ORD_STATUS, status)
            .with(tag::SYMBOL, &self.symbol)
            .with(tag::SIDE, if self.side == Side::Buy { 1 } else { 2 })
            .with(tag::ORDER_QTY, self.quantity)
            .with(tag::LEAVES_QTY, if status == "4" { 0 } else { self.left })
            .with(tag::CUM_QTY, traded)
            .with(tag::AVG_PX, Price::average(self.value, traded))
    }

    fn fill(&self, report: u64, quantity: u64, price: Price) -> Fields {
        let status = if self.left == 0 { "2" } else { "1" };
        self.report(report, "F", status).with(tag::LAST_QTY, quantity).with(tag::LAST_PX, price)
    }
}

impl Book {
    /// Takes a NewOrderSingle. Returns the report for its client. The clients of the orders that it
    /// meets get theirs as pushes.
    pub(crate) fn place(&mut self, message: &Fields, owner: Session) -> Fields {
        match self.try_place(message, owner) {
            Ok(report) => report,
            Err(Refused(reason, text)) => {
                self.last_report += 1;
                Fields::of("8")
                    .with(tag::ORDER_ID, "NONE")
                    .with(tag::CL_ORD_ID, message.get(tag::CL_ORD_ID))
                    .with(tag::EXEC_ID, self.last_report)
                    .with(tag::EXEC_TYPE, "8")
                    .with(tag::ORD_STATUS, "8")
                    .with(tag::ORD_REJ_REASON, reason)
                    .with(tag::SYMBOL, message.get(tag::SYMBOL))
                    .with(tag::SIDE, message.get(tag::SIDE))
                    .with(tag::LEAVES_QTY, 0)
                    .with(tag::CUM_QTY, 0)
                    .with(tag::AVG_PX, 0)
                    .with(tag::TEXT, text)
            }
        }
    }

    fn try_place(&mut self, message: &Fields, owner: Session) -> Result<Fields, Refused> {
        let mut order = Order::read(message, owner)?;
        if self.orders.len() == MAX_ORDERS {
            return Err(Refused(3, "the book is full"));
        }
        if self.find(&order.owner, &order.cl_ord_id).is_some() {
            return Err(Refused(6, "an open order has this ClOrdID"));
        }
        self.last_order += 1;
        order.id = self.last_order;
        while order.left > 0 && self.meet(&mut order) {}
        self.last_report += 1;
        let traded = order.quantity - order.left;
        let report = if traded == 0 {
            order.report(self.last_report, "0", "0")
        } else {
            order.fill(self.last_report, traded, Price::average(order.value, traded))
        };
        if order.left > 0 {
            self.orders.push(order);
        }
        Ok(report)
    }

    /// Trades with the best order that is open. Returns false if there is none.
    fn meet(&mut self, order: &mut Order) -> bool {
        let matching = self.orders.iter().enumerate().filter(|(_, other)| order.matches(other));
        // Both take the first of several orders, which is the oldest.
        let best = match order.side {
            Side::Buy => matching.min_by_key(|(_, other)| other.price),
            Side::Sell => matching.min_by_key(|(_, other)| std::cmp::Reverse(other.price)),
        };
        let Some(at) = best.map(|(at, _)| at) else { return false };
        let other = &mut self.orders[at];
        let (quantity, price) = (order.left.min(other.left), other.price);
        order.trade(quantity, price);
        other.trade(quantity, price);
        self.last_report += 1;
        // A client that has just gone misses its report.
        let _ = other.owner.push("fix.8", &other.fill(self.last_report, quantity, price));
        if other.left == 0 {
            self.orders.remove(at);
        }
        true
    }

    /// Takes an OrderCancelRequest. Returns the answer.
    pub(crate) fn cancel(&mut self, message: &Fields, owner: &Session) -> Fields {
        let (id, original) = (message.get(tag::CL_ORD_ID), message.get(tag::ORIG_CL_ORD_ID));
        let Some(at) = self.find(owner, original) else {
            return Fields::of("9")
                .with(tag::ORDER_ID, "NONE")
                .with(tag::CL_ORD_ID, id)
                .with(tag::ORIG_CL_ORD_ID, original)
                .with(tag::ORD_STATUS, "8")
                .with(tag::CXL_REJ_RESPONSE_TO, 1)
                .with(tag::CXL_REJ_REASON, 1);
        };
        let mut order = self.orders.remove(at);
        id.clone_into(&mut order.cl_ord_id);
        self.last_report += 1;
        order.report(self.last_report, "4", "4").with(tag::ORIG_CL_ORD_ID, original)
    }

    fn find(&self, owner: &Session, cl_ord_id: &str) -> Option<usize> {
        self.orders.iter().position(|order| order.owner.id() == owner.id() && order.cl_ord_id == cl_ord_id)
    }

    /// Cancels the orders of a client that has gone.
    pub(crate) fn forget(&mut self, owner: SessionId) {
        self.orders.retain(|order| order.owner.id() != owner);
    }
}
