/**
 * The commands `backup create`, `verify` and `restore`, alike for a gateway and a CA. What differs is given: the files of
 * a backup, and how a restored directory is proven.
 */
import { printableJson } from '../printable.ts'
import { type BackupFacts, type BackupKind, readArchive, writeArchive } from './archive.ts'
import { openArchive, saveArchive } from './archive-file.ts'
import { otherKind } from './faults.ts'
import { readBackupPassphrase } from './passphrase.ts'
import { type RestoreOptions, restoreTree } from './restore-tree.ts'
import type { BackupSnapshot } from './snapshot.ts'

/** What is used of a command of commander: this package does not depend on it. */
export interface CommandPort {
  command(nameAndArgs: string): CommandPort
  description(text: string): CommandPort
  option(flags: string, description: string): CommandPort
  requiredOption(flags: string, description: string): CommandPort
  helpCommand(enable: boolean): CommandPort
  addHelpText(position: 'after', text: string): CommandPort
  error(message: string): never
  action(run: (...args: unknown[]) => Promise<void>): CommandPort
}

/** The options of a command, by name. */
export type GivenOptions = Readonly<Record<string, unknown>>

export interface BackupCommandParts {
  readonly kind: BackupKind
  /** What is backed up, with its article. */
  readonly what: string
  readonly version: string
  /** Below the help of `backup` and of each command in it: lines of a shell, and then what else there is to say. */
  readonly examples: Readonly<Record<'create' | 'verify' | 'restore', string>>
  readonly remark: string
  /** Adds the options that name what is backed up. */
  addSourceOptions(command: CommandPort): void
  snapshot(options: GivenOptions): Promise<BackupSnapshot>
  /** Adds further options of `restore`. */
  addRestoreOptions(command: CommandPort): void
  restoring(options: GivenOptions): Pick<RestoreOptions, 'accepts' | 'lastName' | 'prove'>
  /** What to do after a restore, a line each. */
  afterwards(dir: string, facts: BackupFacts): readonly string[]
  readonly output: {
    print(text: string): void
    say(text: string): void
    columns(rows: readonly (readonly [string, string])[]): string
  }
}

type Rows = readonly (readonly [name: string, text: string, value: unknown])[]

export function addBackupCommands(program: CommandPort, parts: BackupCommandParts): void {
  const { what, output } = parts
  const backup = program
    .command('backup')
    .description(`back ${what} up into one encrypted archive, and restore it`)
    .helpCommand(false)
    .addHelpText('after', helpOf(Object.values(parts.examples), parts.remark))
  const add = (nameAndArgs: string, description: string) =>
    withPassphrase(backup.command(nameAndArgs).description(description)).option(
      '--json',
      'print the facts as JSON',
    )
  const show = (options: GivenOptions, rows: Rows) =>
    output.print(
      options.json === true
        ? printableJson(Object.fromEntries(rows.map(([name, , value]) => [name, value])), 2)
        : output.columns(rows.map(([name, text]) => [name, text])),
    )

  const create = add('create', `write an archive of ${what}; it may run meanwhile`)
    .requiredOption('--out <file>', 'archive to write or replace; - for standard output')
    .addHelpText('after', helpOf([parts.examples.create]))
  parts.addSourceOptions(create)
  create.action(async (given) => {
    const options = toOptions(given)
    const out = textOf(options, 'out')
    const rows = await createArchive(parts, options, out)
    // standard output has the archive
    if (out !== '-') show(options, rows)
  })

  add('verify <archive>', 'prove that an archive is whole, without restoring it')
    .addHelpText('after', helpOf([parts.examples.verify]))
    .action(async (archive, given) => {
      const options = toOptions(given)
      show(options, await verifyArchive(parts, String(archive), options))
    })

  const restore = add('restore <archive>', 'restore an archive into an empty directory')
    .requiredOption('--dir <dir>', 'directory to make')
    .option('--force', 'also when that replaces something, or takes something back')
    .addHelpText('after', helpOf([parts.examples.restore]))
  parts.addRestoreOptions(restore)
  restore.action(async (archive, given) => {
    const options = toOptions(given)
    const { facts, dir, files, bytes, replaced } = await restoreTree({
      ...parts.restoring(options),
      input: openArchive(String(archive)),
      passphrase: await readBackupPassphrase(passphraseOf(options), false),
      kind: parts.kind,
      version: parts.version,
      dir: textOf(options, 'dir'),
      force: options.force === true,
    })
    show(options, [
      ['directory', dir, dir],
      ['made', facts.made, facts.made],
      ['files', String(files), files],
      ['bytes', String(bytes), bytes],
      ...(replaced === null ? [] : [['replaced', replaced, replaced] as const]),
    ])
    for (const line of parts.afterwards(dir, facts)) output.say(line)
  })
}

async function createArchive(
  { kind, version, snapshot }: BackupCommandParts,
  options: GivenOptions,
  out: string,
): Promise<Rows> {
  const passphrase = await readBackupPassphrase(passphraseOf(options), true)
  const taken = await snapshot(options)
  try {
    const { sources, made } = taken
    const facts = { kind, version, made: made.toISOString() }
    const bytes = await saveArchive(writeArchive({ facts, sources, passphrase }), out)
    return [
      ['archive', out, out],
      ['made', facts.made, facts.made],
      ['files', String(sources.length), sources.length],
      ['bytes', String(bytes), bytes],
    ]
  } finally {
    await taken.close()
  }
}

async function verifyArchive(
  { kind }: BackupCommandParts,
  archive: string,
  options: GivenOptions,
): Promise<Rows> {
  const passphrase = await readBackupPassphrase(passphraseOf(options), false)
  const { facts, files } = await readArchive({
    input: openArchive(archive),
    passphrase,
    onFacts: (found) => {
      if (found.kind !== kind) throw otherKind(found.kind)
    },
  })
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return [
    ['archive', archive, archive],
    ['made', facts.made, facts.made],
    ['version', facts.version, facts.version],
    ['files', String(files.length), files.length],
    ['bytes', String(bytes), bytes],
    ['hashes', 'all are right', files.map(({ name, sha256 }) => ({ name, sha256 }))],
  ]
}

function helpOf(examples: readonly string[], remark = ''): string {
  return ['\nExamples:', ...examples, ...(remark === '' ? [] : ['', remark])].join('\n')
}

function withPassphrase(command: CommandPort): CommandPort {
  return command
    .option('--passphrase-file <file>', 'file with the passphrase of the archive')
    .option('--passphrase-fd <number>', 'open descriptor with it, e.g. 3')
}

function passphraseOf(options: GivenOptions) {
  const { passphraseFile, passphraseFd } = options
  return {
    passphraseFile: typeof passphraseFile === 'string' ? passphraseFile : undefined,
    passphraseFd: typeof passphraseFd === 'string' ? passphraseFd : undefined,
  }
}

function toOptions(given: unknown): GivenOptions {
  return typeof given === 'object' && given !== null ? { ...given } : {}
}

/** Of an option that commander requires. */
function textOf(options: GivenOptions, name: string): string {
  return String(options[name])
}
