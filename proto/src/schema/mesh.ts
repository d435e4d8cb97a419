/** The schema of clawmesh/mesh/v1/mesh.proto, which has the comments. */
export const MESH_SCHEMA = `syntax = "proto3";

package clawmesh.mesh.v1;

import "google/protobuf/timestamp.proto";

service MeshService {
  rpc WhoAmI(WhoAmIRequest) returns (WhoAmIResponse);
  rpc ListPeers(ListPeersRequest) returns (ListPeersResponse);
  rpc ExchangeToken(ExchangeTokenRequest) returns (ExchangeTokenResponse);
  rpc Explain(ExplainRequest) returns (ExplainResponse);
  rpc FollowTrees(stream FollowTreesRequest) returns (stream FollowTreesResponse);
}

message WhoAmIRequest {}

message WhoAmIResponse {
  string spiffe_id = 1;
  string tenant = 2;
  string agent = 3;
  google.protobuf.Timestamp certificate_not_after = 4;
  string certificate_fingerprint = 5;
  string gateway = 6;
}

message ListPeersRequest {}

message ListPeersResponse {
  repeated Peer peers = 1;
}

message Peer {
  string name = 1;
  string tenant = 2;
  string agent = 3;
  repeated string methods = 4;
  string rule = 5;
}

message ExchangeTokenRequest {
  repeated string allowed_destinations = 1;
  bool bind_to_certificate = 2;
  uint64 ttl_ms = 3;
}

message ExchangeTokenResponse {
  string token = 1;
  google.protobuf.Timestamp expires = 2;
  repeated string allowed_destinations = 3;
}

message FollowTreesRequest {
  uint64 key = 1;
  string delegation_token = 2;
}

message FollowTreesResponse {
  uint64 key = 1;
  string code = 2;
  string message = 3;
}

message ExplainRequest {
  string from = 1;
  string to = 2;
  string method = 3;
  bool within_chain = 4;
  string host = 5;
}

message ExplainResponse {
  string action = 1;
  string code = 2;
  string reason = 3;
  string rule = 4;
  string file = 5;
  string hint = 6;
  string mode = 7;
  uint64 generation = 8;
  bool some_requests = 9;
}
`
