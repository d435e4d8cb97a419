/** The schema of clawmesh/delegation/v1/delegation.proto, which has the comments. */
export const DELEGATION_SCHEMA = `syntax = "proto3";

package clawmesh.delegation.v1;

import "google/protobuf/timestamp.proto";

service DelegationService {
  rpc Delegate(DelegateRequest) returns (stream Event);
  rpc Watch(WatchRequest) returns (stream Event);
  rpc Get(GetRequest) returns (Task);
  rpc Cancel(CancelRequest) returns (Task);
  rpc List(ListRequest) returns (ListResponse);
  rpc SendInput(SendInputRequest) returns (Task);
  rpc Describe(DescribeRequest) returns (DescribeResponse);
}

message DelegateRequest {
  string delegation_id = 1;
  string skill = 2;
  repeated Part input = 3;
  string idempotency_key = 4;
  google.protobuf.Timestamp task_deadline = 5;
  bool detached = 6;
  map<string, string> labels = 7;
}

message Part {
  oneof content {
    string text = 1;
    string json = 2;
    bytes bytes = 3;
    ArtifactReference artifact = 4;
  }
  string media_type = 15;
}

message ArtifactReference {
  string name = 1;
  string delegation_id = 2;
  string sha256 = 3;
}

enum TaskState {
  TASK_STATE_UNSPECIFIED = 0;
  TASK_STATE_SUBMITTED = 1;
  TASK_STATE_WORKING = 2;
  TASK_STATE_INPUT_REQUIRED = 3;
  TASK_STATE_AUTH_REQUIRED = 4;
  TASK_STATE_COMPLETED = 5;
  TASK_STATE_FAILED = 6;
  TASK_STATE_CANCELED = 7;
  TASK_STATE_REJECTED = 8;
  TASK_STATE_EXPIRED = 9;
  TASK_STATE_ORPHANED = 10;
}

message Event {
  string delegation_id = 1;
  uint64 seq = 2;
  google.protobuf.Timestamp time = 3;
  oneof kind {
    Accepted accepted = 4;
    Status status = 5;
    Progress progress = 6;
    MessageDelta message_delta = 7;
    ArtifactChunk artifact_chunk = 8;
    InputRequired input_required = 9;
    Heartbeat heartbeat = 11;
    Result result = 12;
    Failed failed = 13;
    Usage usage = 10;
    InputReceived input_received = 14;
  }
}

message Accepted {
  string skill = 1;
  uint64 retention_ms = 2;
}

message Status {
  TaskState state = 1;
  string note = 2;
}

message Progress {
  double fraction = 1;
  string note = 2;
}

message MessageDelta {
  string text = 1;
}

message ArtifactChunk {
  string name = 1;
  string media_type = 2;
  uint32 index = 3;
  bytes data = 4;
  bool last = 5;
  string sha256 = 6;
}

message InputRequired {
  string input_id = 1;
  repeated Part question = 2;
}

message InputReceived {
  string input_id = 1;
  repeated Part answer = 2;
}

message Usage {
  map<string, double> amounts = 1;
}

message Heartbeat {}
message Result {
  repeated Part output = 1;
  bool more = 2;
  bool continues = 3;
}

message Failed {
  TaskState state = 1;
  string code = 2;
  string message = 3;
  bool retryable = 4;
  string hint = 5;
}

message WatchRequest {
  string delegation_id = 1;
  uint64 after_seq = 2;
}

message GetRequest {
  string delegation_id = 1;
}

message CancelRequest {
  string delegation_id = 1;
  string reason = 2;
}

message ListRequest {
  uint32 page_size = 1;
  string page_token = 2;
  repeated TaskState states = 3;
  map<string, string> labels = 4;
}

message ListResponse {
  repeated Task tasks = 1;
  string next_page_token = 2;
}

message SendInputRequest {
  string delegation_id = 1;
  string input_id = 2;
  repeated Part answer = 3;
}

message Task {
  string delegation_id = 1;
  string skill = 2;
  TaskState state = 3;
  string caller = 4;
  google.protobuf.Timestamp created = 5;
  google.protobuf.Timestamp updated = 6;
  uint64 last_seq = 7;
  map<string, string> labels = 8;
  Failed failure = 9;
  repeated string pending_inputs = 10;
}

message DescribeRequest {
  repeated string skills = 1;
}

message DescribeResponse {
  repeated Skill skills = 1;
}

message Skill {
  string name = 1;
  string description = 2;
  string input_schema = 3;
  string output_schema = 4;
}
`
