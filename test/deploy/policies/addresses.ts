/** Addresses of the world that a cluster of a test is in: those of documentation (RFC 5737), and one of metadata services. */
export const NODE_ADDRESS = '192.0.2.1'
export const OUTSIDE_ADDRESS = '192.0.2.2'
export const METADATA_ADDRESS = '169.254.169.254'
