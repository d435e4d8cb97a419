/**
 * Backups of gateways and CAs: one encrypted archive with hashes. A door of its own: agents need none of it.
 * docs/decisions/archives-are-age-files.md
 */

export type {
  ArchivedFile,
  ArchiveOptions,
  BackupFacts,
  BackupKind,
  BackupSource,
  ReadArchive,
  ReadArchiveOptions,
} from './archive.ts'
export { inMemory, readArchive, writeArchive } from './archive.ts'
export { openArchive, saveArchive } from './archive-file.ts'
export type { BackupCommandParts, CommandPort, GivenOptions } from './commands.ts'
export { addBackupCommands } from './commands.ts'
export type { PassphraseSource } from './passphrase.ts'
export { readBackupPassphrase } from './passphrase.ts'
export type { Restored, RestoreOptions } from './restore-tree.ts'
export { restoreTree } from './restore-tree.ts'
export type { BackupSnapshot, SnapshotFile } from './snapshot.ts'
export { openSnapshot } from './snapshot.ts'
export { isPlainName } from './tar.ts'
