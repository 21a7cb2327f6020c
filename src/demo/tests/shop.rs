//! The shop answers as its table says, and is as careless as it says.

use http::header::{ALLOW, LOCATION};
use serde_json::json;

use super::legacy_api::Caller;
use super::start_legacy_api;
use crate::demo::legacy_api::hold::Point;

#[tokio::test]
async fn an_order_makes_every_move_that_is_asked_for() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    let posted = client.call("POST", "/orders", r#"{"item": "lamp", "state": "free"}"#).await;
    assert_eq!((posted.status.as_u16(), &posted.headers[LOCATION]), (201, &"/orders/1".parse().unwrap()));
    let order = json!({"id": "1", "item": "lamp", "state": "paid"});
    assert_eq!(client.json("GET", "/orders/1", "").await, (200, order.clone()));
    assert_eq!(client.json("GET", "/orders", "").await, (200, json!([order])));
    let shipped = client.json("POST", "/orders/1/ship", "").await;
    assert_eq!(shipped, (200, json!({"id": "1", "item": "lamp", "state": "shipped", "parcel": "sent"})));
    let (status, cancelled) = client.json("POST", "/orders/1/cancel", "").await;
    assert_eq!(
        (status, &cancelled["state"], &cancelled["parcel"]),
        (200, &json!("cancelled"), &json!("sent"))
    );
    assert_eq!(documents.document("/orders/1"), Some(cancelled));
    for missing in ["/orders/2", "/orders/", "/orders/1/pay"] {
        assert_eq!(client.json("GET", missing, "").await.0, 404, "{missing}");
    }
    assert_eq!(client.json("POST", "/orders/2/ship", "").await.0, 404);
    assert_eq!(client.json("POST", "/orders", "no").await.0, 400);
    for (path, allowed) in
        [("/orders", "GET, HEAD, POST"), ("/orders/1", "GET, HEAD"), ("/orders/1/ship", "POST")]
    {
        let refused = client.call("DELETE", path, "").await;
        assert_eq!((refused.status.as_u16(), refused.headers[ALLOW].to_str().unwrap()), (405, allowed));
    }
}

#[tokio::test]
async fn an_email_is_taken_in_every_case_once_it_is_stored() {
    let (address, _) = start_legacy_api().await;
    let mut client = Caller::new(address);
    let ann = json!({"id": "1", "email": "ann@example.com"});
    assert_eq!(
        client.json("POST", "/customers", r#"{"email": "ann@example.com"}"#).await,
        (201, ann.clone())
    );
    assert_eq!(client.json("POST", "/customers", r#"{"email": "Ann@example.com"}"#).await.0, 409);
    assert_eq!(client.json("GET", "/customers?email=ANN%40example.com", "").await, (200, json!([ann])));
    assert_eq!(client.json("GET", "/customers?email=bob%40example.com", "").await, (200, json!([])));
    assert_eq!(client.json("GET", "/customers", "").await, (200, json!([ann])));
    assert_eq!(client.json("POST", "/customers", r#"{"name": "Bob"}"#).await.0, 400);
}

#[tokio::test]
async fn two_sign_ups_at_a_time_both_find_the_email_free() {
    let (address, documents) = start_legacy_api().await;
    let (mut first, mut second) = (Caller::new(address), Caller::new(address));
    let mut held = documents.hold_next(Point::BeforeStoring);
    let sign_up = r#"{"email": "ann@example.com"}"#;
    let first = tokio::spawn(async move { first.json("POST", "/customers", sign_up).await.0 });
    held.reached().await;
    // The hold was for one.
    assert_eq!(second.json("POST", "/customers", sign_up).await.0, 201);
    assert!(!first.is_finished());
    drop(held);
    assert_eq!(first.await.unwrap(), 201);
    assert_eq!(documents.below("/customers/").len(), 2);
}

#[tokio::test]
async fn a_file_is_replaced_without_a_question() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    assert_eq!(client.json("GET", "/files/a.txt", "").await.0, 404);
    assert_eq!(client.call("PUT", "/files/a.txt", "one").await.status, 201);
    assert_eq!(client.call("PUT", "/files/a.txt", "two").await.status, 200);
    assert_eq!(client.call("GET", "/files/a.txt", "").await.body, "two");
    assert_eq!(documents.document("/files/a.txt"), Some(json!("two")));
}

#[tokio::test]
async fn a_product_counts_its_versions_and_compares_them_with_nothing() {
    let (address, documents) = start_legacy_api().await;
    let mut client = Caller::new(address);
    assert_eq!(client.json("PUT", "/products/1", r#"{"version": 1}"#).await.0, 404);
    documents.begin_with("/products/1", json!({"id": "1", "version": 4}));
    let put = client.json("PUT", "/products/1", r#"{"name": "a", "version": 1}"#).await;
    assert_eq!(put, (200, json!({"id": "1", "name": "a", "version": 5})));
    assert_eq!(client.json("GET", "/products/1", "").await.1, put.1);
    assert_eq!(client.call("POST", "/products/1", "{}").await.headers[ALLOW], "GET, HEAD, PUT");
}
