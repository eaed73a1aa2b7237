//! gw-ssh
