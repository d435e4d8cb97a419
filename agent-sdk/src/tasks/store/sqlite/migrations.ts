/** The tables, step by step: the number of steps taken is the user_version of the file. A step that was released never changes. */

/** The application id of the file, `CLAW`: a database of another program is not opened. */
export const APPLICATION_ID = 0x434c4157

export const MIGRATIONS: readonly string[] = Object.freeze([
  `CREATE TABLE tasks (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     caller TEXT NOT NULL,
     id TEXT NOT NULL,
     idempotency_key TEXT,
     content_hash TEXT NOT NULL,
     skill TEXT NOT NULL,
     labels TEXT NOT NULL,
     detached INTEGER NOT NULL,
     deadline_ms INTEGER,
     created_ms INTEGER NOT NULL,
     updated_ms INTEGER NOT NULL,
     ended_ms INTEGER,
     state TEXT NOT NULL,
     failure TEXT,
     inputs TEXT NOT NULL,
     UNIQUE (caller, id)
   ) STRICT;
   CREATE UNIQUE INDEX tasks_by_key ON tasks (caller, idempotency_key)
     WHERE idempotency_key IS NOT NULL;
   CREATE TABLE events (
     task INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     body BLOB NOT NULL,
     PRIMARY KEY (task, seq)
   ) STRICT;
   CREATE TABLE beginnings (
     task INTEGER PRIMARY KEY,
     request BLOB NOT NULL,
     traceparent TEXT,
     delegation_token TEXT,
     saved TEXT,
     asked INTEGER NOT NULL,
     runs INTEGER NOT NULL
   ) STRICT;`,
  'ALTER TABLE tasks ADD COLUMN tree TEXT',
])
