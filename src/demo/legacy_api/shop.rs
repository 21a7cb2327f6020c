//! A small shop, the part of the legacy API that the scenarios are played on. It checks what such APIs
//! check, and at the time at which they do it: before, and not while, something is stored.
//!
//! | path | GET | PUT | POST |
//! |---|---|---|---|
//! | `/orders` | every order | 405 | 201 and Location: a new order, `"state": "paid"` |
//! | `/orders/{id}` | 200, 404 | 405 | 405 |
//! | `/orders/{id}/ship`, `/orders/{id}/cancel` | 405 | 405 | 200 from any state: `"parcel": "sent"`, `"refund": "paid"` |
//! | `/customers`, `/customers?email=` | every customer, or those with this e-mail in any case | 405 | 201, or 409 where the e-mail is found |
//! | `/products/{id}` | 200, 404 | 200, 404: `"version"` counts on, whatever was sent | 405 |
//! | `/files/{name}` | 200, 404 | 201, 200 when replaced | 405 |
//!
//! HEAD goes with GET.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::hold::Point;
use super::{Answer, Documents, body, error, fields, json_answer, numbered, with_field};

/// What a path names.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Orders,
    Order,
    Move { order: &'a str, to: Move },
    Customers,
    Product(&'a str),
    File,
}

/// What can be done with an order.
#[derive(Clone, Copy)]
pub(super) enum Move {
    Ship,
    Cancel,
}

/// What a path names in the shop.
pub(super) fn place(path: &str) -> Option<Place<'_>> {
    match *path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "orders"] => Some(Place::Orders),
        ["", "orders", order] if !order.is_empty() => Some(Place::Order),
        ["", "orders", order, "ship"] => Some(Place::Move { order, to: Move::Ship }),
        ["", "orders", order, "cancel"] => Some(Place::Move { order, to: Move::Cancel }),
        ["", "customers"] => Some(Place::Customers),
        ["", "products", id] if !id.is_empty() => Some(Place::Product(id)),
        ["", "files", name] if !name.is_empty() => Some(Place::File),
        _ => None,
    }
}

/// Answers a request for something in the shop.
pub(super) async fn answer(request: Request<Incoming>, place: Place<'_>, documents: &Documents) -> Answer {
    let path = request.uri().path().to_owned();
    match (request.method(), place) {
        (&Method::GET | &Method::HEAD, Place::Orders) => {
            json_answer(StatusCode::OK, &Value::Array(documents.below("/orders/")))
        }
        (&Method::GET | &Method::HEAD, Place::Order | Place::Product(_)) => found(documents.document(&path)),
        (&Method::GET | &Method::HEAD, Place::Customers) => {
            let email = request.uri().query().and_then(email_asked_for);
            json_answer(StatusCode::OK, &Value::Array(customers(documents, email.as_deref())))
        }
        (&Method::GET | &Method::HEAD, Place::File) => match documents.document(&path) {
            Some(Value::String(text)) => {
                with_field(Response::new(Full::from(text)), CONTENT_TYPE, "text/plain; charset=utf-8")
            }
            Some(_) | None => found(None),
        },
        (&Method::POST, Place::Orders) => match fields(request).await {
            Ok(fields) => place_order(documents, fields).await,
            Err(wrong) => wrong,
        },
        (&Method::POST, Place::Move { order, to }) => move_order(documents, order, to).await,
        (&Method::POST, Place::Customers) => match fields(request).await {
            Ok(fields) => sign_up(documents, &fields).await,
            Err(wrong) => wrong,
        },
        (&Method::PUT, Place::Product(id)) => match fields(request).await {
            Ok(fields) => put_product(documents, &path, id, fields),
            Err(wrong) => wrong,
        },
        (&Method::PUT, Place::File) => match body(request).await {
            Ok(bytes) => put_file(documents, &path, &bytes),
            Err(wrong) => wrong,
        },
        (_, place) => {
            let allowed = match place {
                Place::Orders | Place::Customers => "GET, HEAD, POST",
                Place::Order => "GET, HEAD",
                Place::Move { .. } => "POST",
                Place::Product(_) | Place::File => "GET, HEAD, PUT",
            };
            let refused = error(StatusCode::METHOD_NOT_ALLOWED, "this method has no meaning here");
            with_field(refused, ALLOW, allowed)
        }
    }
}

fn found(document: Option<Value>) -> Answer {
    match document {
        Some(document) => json_answer(StatusCode::OK, &document),
        None => error(StatusCode::NOT_FOUND, "there is no such document"),
    }
}

async fn place_order(documents: &Documents, mut fields: Map<String, Value>) -> Answer {
    fields.insert("state".to_owned(), Value::from("paid"));
    let (path, order) = documents.add("/orders", &fields);
    documents.hold.pass(Point::BeforeAnswering).await;
    with_field(json_answer(StatusCode::CREATED, &order), LOCATION, &path)
}

/// Looks whether there is such an order, and then changes what is stored by then.
async fn move_order(documents: &Documents, order: &str, to: Move) -> Answer {
    let path = format!("/orders/{order}");
    if documents.document(&path).is_none() {
        return found(None);
    }
    documents.hold.pass(Point::BeforeStoring).await;
    let (state, effect, done) = match to {
        Move::Ship => ("shipped", "parcel", "sent"),
        Move::Cancel => ("cancelled", "refund", "paid"),
    };
    let Some(Value::Object(mut order)) = documents.document(&path) else { return found(None) };
    order.insert("state".to_owned(), Value::from(state));
    order.insert(effect.to_owned(), Value::from(done));
    let order = Value::Object(order);
    documents.store(&path, Some(order.clone()));
    json_answer(StatusCode::OK, &order)
}

/// Looks whether the e-mail is taken, and then stores the customer: two at a time both find it free.
async fn sign_up(documents: &Documents, fields: &Map<String, Value>) -> Answer {
    let Some(email) = fields.get("email").and_then(Value::as_str) else {
        return error(StatusCode::BAD_REQUEST, "a customer needs a text in \"email\"");
    };
    if !customers(documents, Some(email)).is_empty() {
        return error(StatusCode::CONFLICT, "this e-mail is taken");
    }
    documents.hold.pass(Point::BeforeStoring).await;
    let (path, customer) = documents.add("/customers", fields);
    with_field(json_answer(StatusCode::CREATED, &customer), LOCATION, &path)
}

fn customers(documents: &Documents, email: Option<&str>) -> Vec<Value> {
    let mut customers = documents.below("/customers/");
    if let Some(email) = email {
        let same = |stored: &str| stored.eq_ignore_ascii_case(email);
        customers.retain(|customer| customer.get("email").and_then(Value::as_str).is_some_and(same));
    }
    customers
}

fn email_asked_for(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|part| part.strip_prefix("email="))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// Counts the versions of a product, and compares them with nothing.
fn put_product(documents: &Documents, path: &str, id: &str, mut fields: Map<String, Value>) -> Answer {
    let Some(old) = documents.document(path) else { return found(None) };
    let version = old.get("version").and_then(Value::as_u64).unwrap_or_default();
    fields.insert("version".to_owned(), Value::from(version.saturating_add(1)));
    let new = numbered(id, &fields);
    documents.store(path, Some(new.clone()));
    json_answer(StatusCode::OK, &new)
}

fn put_file(documents: &Documents, path: &str, bytes: &Bytes) -> Answer {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return error(StatusCode::BAD_REQUEST, "a file has to be text in UTF-8");
    };
    let status = if documents.document(path).is_some() { StatusCode::OK } else { StatusCode::CREATED };
    documents.store(path, Some(Value::from(text)));
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
