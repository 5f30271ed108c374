//! Who is not who he says, and what is refused of him: counted by kind.

use crate::batches::events_with;
use crate::support::*;
use arrow_array::{ArrayRef, StringArray};
use bartizan_model::{Kind, Seq};
use bartizan_wire::{Ack, Compression, Offence, encode};
use bytes::Bytes;
use std::sync::Arc;

/// Sends batches on one stream; the number and the reason of the one that is refused.
async fn refused(server: &Server, batches: &[(u64, Bytes)]) -> (u64, String) {
    let client = server.connect(&server.host()).await;
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    for (seq, ipc) in batches {
        drop(sender.send(Kind::Events, Seq(*seq), 1, ipc, now()).await);
    }
    loop {
        match acks.next().await.unwrap() {
            Some(Ack::Refused { seq, permanent: true, reason }) => return (seq.0, reason),
            Some(_) => {}
            None => panic!("nothing was refused"),
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_counted_by_what_it_tried() {
    let server = server().await;
    let names: ArrayRef = Arc::new(StringArray::from(vec!["web-2"; 3]));
    let forged: Bytes = encode(&events_with("host", names), Compression::None).unwrap().into();
    let (seq, why) = refused(&server, &[(1, forged)]).await;
    assert!(seq == 1 && why.contains("`host` is not one that a sender may fill"), "{why}");
    let (seq, why) = refused(&server, &[(1, ipc(2)), (2, ipc(2)), (1, ipc(2))]).await;
    assert!(seq == 1 && why.contains("out of order"), "{why}");
    let mut torn = ipc(20).to_vec();
    let end = torn.len() - 60;
    torn[end..end + 40].fill(0xff);
    let (seq, _) = refused(&server, &[(9, torn.into())]).await;
    assert_eq!(seq, 9);
    let offences = server.door.offences.lock().unwrap().clone();
    assert_eq!(offences, [Offence::Identity, Offence::Order, Offence::Malformed]);
    assert_eq!(server.sink.seqs(), [1, 2]);
}
