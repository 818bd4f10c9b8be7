//! An operator's questions and orders, all of them API v2.

use std::collections::BTreeMap;

use fleet::v2::{AwayMachine, Cordon, MachineStatus, MoveTo, Rebalance, WhatIf, WhatThen};
use hyper::Method;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, accepted_v2, decoded, encode};

impl Client {
    /// What the leader would do if things were otherwise.
    ///
    /// # Errors
    /// When the answer does not come, something in the question makes no sense, or the server has no API v2.
    pub(crate) async fn what_if(&self, question: &WhatIf) -> Result<WhatThen, ClientError> {
        let path = "/fleet/v2/what-if";
        let body = serde_json::to_vec(question).unwrap_or_default();
        decoded(path, &self.send_v2(Method::POST, path, Some(body)).await?)
    }

    /// The machines that get no new units, by id.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no API v2.
    pub(crate) async fn cordons(&self) -> Result<BTreeMap<String, Cordon>, ClientError> {
        let path = "/fleet/v2/cordons";
        self.get_v2(path).await
    }

    /// What would make the cluster even, with at most so many moves.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no API v2.
    pub(crate) async fn rebalance(&self, max: Option<u32>) -> Result<Rebalance, ClientError> {
        let query = max.map_or(String::new(), |max| format!("?max={max}"));
        let path = format!("/fleet/v2/rebalance{query}");
        self.get_v2(&path).await
    }

    /// Orders a unit to another machine.
    ///
    /// # Errors
    /// When the answer does not come, the machine may not take it, or the server has no API v2.
    pub(crate) async fn move_unit(&self, name: &str, machine: &str) -> Result<(), ClientError> {
        let path = format!("/fleet/v2/units/{}/machine", encode(name));
        let body = serde_json::to_vec(&MoveTo {
            machine_id: machine.to_owned(),
        });
        self.send_v2(Method::PUT, &path, body.ok()).await.map(drop)
    }

    /// The machines that are away.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no API v2.
    pub(crate) async fn away(&self) -> Result<Vec<AwayMachine>, ClientError> {
        let path = "/fleet/v2/away";
        self.get_v2(path).await
    }

    /// Says that a machine that is away is gone for good.
    ///
    /// # Errors
    /// When the answer does not come, the machine is not away, or the server has no API v2.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/fleet/v2/away/{}", encode(id));
        self.send_v2(Method::DELETE, &path, None).await.map(drop)
    }

    /// A machine, and the units that a drain would take off it.
    ///
    /// # Errors
    /// When the answer does not come, there is no such machine, or the server has no API v2.
    pub(crate) async fn machine(&self, id: &str) -> Result<MachineStatus, ClientError> {
        let path = format!("/fleet/v2/machines/{}", encode(id));
        self.get_v2(&path).await
    }

    /// Keeps new units away from a machine, or has it drained; takes that back with none.
    ///
    /// # Errors
    /// When the answer does not come, or the server has no API v2.
    pub(crate) async fn cordon(
        &self,
        id: &str,
        cordon: Option<&Cordon>,
    ) -> Result<(), ClientError> {
        let path = format!("/fleet/v2/machines/{}/cordon", encode(id));
        let (method, body) = match cordon {
            Some(cordon) => (Method::PUT, serde_json::to_vec(cordon).ok()),
            None => (Method::DELETE, None),
        };
        self.send_v2(method, &path, body).await.map(drop)
    }

    async fn get_v2<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        decoded(path, &self.send_v2(Method::GET, path, None).await?)
    }

    async fn send_v2(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, ClientError> {
        let (status, bytes) = self.call(method, path, body).await?;
        accepted_v2(status, bytes)
    }
}
