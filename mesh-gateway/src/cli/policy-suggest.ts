/**
 * `mesh-gateway policy suggest`: writes the narrowest policy that allows all requests that an audit log shows as
 * admitted.
 */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { diskError, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { MeshError, printableJson } from '@clawmesh/proto'
import { Command } from 'commander'
import { policyInvalid } from '../policy/index.ts'
import { MAX_FILE_BYTES, readPolicyDirectory } from '../policy/read/read-directory.ts'
import { broken, GLOBAL_FILE, readPolicyFile } from '../policy/read/read-file.ts'
import { readRecording } from '../recorded/read-recording.ts'
import { agentNames } from '../recorded/recorded-case.ts'
import { createSuggestion, type Suggestion } from '../recorded/suggest.ts'
import { plural } from '../text/plural.ts'
import type { CommandOutput } from './explanation.ts'
import {
  addRecording,
  countsAsJson,
  noteCounts,
  parseCount,
  type RecordingOptions,
} from './recording.ts'

interface SuggestCommandOptions extends RecordingOptions {
  readonly out?: string
  readonly wildcards?: number
}

interface SuggestedFile {
  readonly name: string
  readonly document: object
}

const EXAMPLES = `
Examples:
  $ mesh-gateway policy suggest --audit audit.log --out policy-candidate
  $ mesh-gateway policy replay --audit audit.log --dir policy-candidate

Deny rules, limits and schemes are not in an audit log: take them over from the
policy in force.`

export function suggestCommand(output: CommandOutput): Command {
  return addRecording(new Command('suggest'))
    .description('write a policy from what an audit log shows was let through')
    .option('--out <dir>', 'where the files go; it must hold no policy yet. Default: stdout')
    .option(
      '--wildcards <number>',
      'suggest *.parent from so many hosts below it on; default never',
      parseCount,
    )
    .option('--json', 'print counts as JSON, with --out')
    .addHelpText('after', EXAMPLES)
    .action(async (options: SuggestCommandOptions) => {
      const { audit, out, tenant = null, wildcards = null } = options
      const suggesting = createSuggestion({ tenant, wildcards })
      const counts = await readRecording(audit, agentNames(options.spiffeAgentPath), (recorded) =>
        suggesting.add(recorded),
      )
      const suggestion = suggesting.finish()
      noteCounts(counts, audit, output)
      noteSuggestion(suggestion, output)
      const files = filesOf(suggestion)
      if (files.length === 0)
        throw new MeshError(
          'MESH_AUDIT_UNREADABLE',
          `${audit} shows nothing that a policy could allow`,
          { hint: 'let the agents run under `"mode": "audit"` for a while, then suggest' },
        )
      mustBeValid(files)
      if (out === undefined) {
        const all = files.map(({ name, document }) => [name, document] as const)
        output.result(`${printableJson(Object.fromEntries(all), 2)}\n`)
        return
      }
      const written = await write(out, files)
      if (options.json)
        output.result(
          `${printableJson({ dir: out, files: written, ...countsAsJson(counts), allowed: suggestion.records, left_out: suggestion.leftOut, refused: suggestion.refused })}\n`,
        )
      else output.result(written.map((file) => `${file}\n`).join(''))
      output.note(`next: mesh-gateway policy replay --audit ${audit} --dir ${out}`)
    })
}

function noteSuggestion({ records, leftOut, refused, remarks }: Suggestion, output: CommandOutput) {
  output.note(
    `from ${plural(records, 'record')} of what was let through; refused, and of no account: ${refused}`,
  )
  if (leftOut > 0)
    output.note(
      `${leftOut} left out: a deny rule or the address rules refused the same at another time`,
    )
  for (const remark of remarks) output.note(remark)
}

function filesOf({ tenants, global }: Suggestion): SuggestedFile[] {
  const files = tenants.map((document) => ({ name: `${document.tenant}.json`, document }))
  return global === null ? files : [{ name: GLOBAL_FILE, document: global }, ...files]
}

/** A list or a file may be too long: a policy that a gateway would refuse must not be written. */
function mustBeValid(files: readonly SuggestedFile[]): void {
  const faults = files.flatMap(({ name, document }) => {
    const bytes = Buffer.from(format(document))
    const reading =
      bytes.length > MAX_FILE_BYTES
        ? broken(name, 'would be larger than 1 MiB; see --tenant and --wildcards')
        : readPolicyFile(name, bytes)
    return reading.kind === 'broken' ? reading.faults : []
  })
  if (faults.length > 0) throw policyInvalid('the suggestion', faults)
}

/** @throws MeshError MESH_POLICY_INVALID when there already is policy, MESH_DISK_WRITE */
async function write(dir: string, files: readonly SuggestedFile[]): Promise<string[]> {
  const there = await readPolicyDirectory({ dir })
  const [first] = there.files
  if (first !== undefined)
    throw new MeshError('MESH_POLICY_INVALID', `${dir} holds ${first.name} already`, {
      hint: 'name a new directory, compare the two, and take over what you want',
    })
  await mkdir(dir, { recursive: true }).catch((error: unknown) => {
    throw diskError(dir, error)
  })
  const paths: string[] = []
  for (const { name, document } of files) {
    const file = path.join(dir, name)
    await writeAtomic(file, format(document))
    paths.push(file)
  }
  return paths
}

function format(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`
}
