//! the cluster's records in etcd: keys, snapshot and watch, leases, leadership, fenced writes.
