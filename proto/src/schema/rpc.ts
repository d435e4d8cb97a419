/** The schemas of google/rpc/status.proto and google/rpc/error_details.proto. */
export const STATUS_SCHEMA = `syntax = "proto3";

package google.rpc;

import "google/protobuf/any.proto";

message Status {
  int32 code = 1;
  string message = 2;
  repeated google.protobuf.Any details = 3;
}
`

export const ERROR_DETAILS_SCHEMA = `syntax = "proto3";

package google.rpc;

import "google/protobuf/duration.proto";

message ErrorInfo {
  string reason = 1;
  string domain = 2;
  map<string, string> metadata = 3;
}

message RetryInfo {
  google.protobuf.Duration retry_delay = 1;
}
`
