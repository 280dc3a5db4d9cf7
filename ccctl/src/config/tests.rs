//! Tests of the kubeconfig.
