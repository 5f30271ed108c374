//! Questions over hot batches and lake. The one crate with DataFusion.
