/** Runs a guide as its reader does: writes the files that it shows, and types its commands into one shell, in order. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'

/** What a reader does next. */
export type GuideStep =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | {
      readonly kind: 'command'
      readonly command: string
      /** The exit code that the guide tells of by `# exit N`; `fails`: any but 0. */
      readonly ends: number | 'fails'
    }

/**
 * The steps of each section, by its heading; what is above the first one is under the empty text. A step is a line after
 * `$ ` in a block of `console`, or a block below a comment with its path: `<!-- policy/acme.json -->`.
 */
export function guideSections(guide: string): ReadonlyMap<string, readonly GuideStep[]> {
  const parts = guide.split(/^## (.*)\n/m)
  const sections = new Map([['', stepsOf(parts[0] ?? '')]])
  for (let at = 1; at < parts.length; at += 2)
    sections.set(parts[at] ?? '', stepsOf(parts[at + 1] ?? ''))
  return sections
}

function stepsOf(text: string): GuideStep[] {
  const blocks = text.matchAll(/(?:^<!-- (\S+) -->\n)?^```(\w+)\n(.*?)^```$/gms)
  return [...blocks].flatMap(([, path, language, block = '']): GuideStep[] => {
    if (path !== undefined) return [{ kind: 'file', path, text: block }]
    if (language !== 'console') return []
    return (block.match(/(?<=^\$ ).*$/gm) ?? []).map(commandOf)
  })
}

function commandOf(line: string): GuideStep {
  const [, command = '', code, fails] = /^(.*?)(?:\s+# (?:exit (\d+)|(fails)))?$/.exec(line) ?? []
  return { kind: 'command', command, ends: fails === undefined ? Number(code ?? 0) : 'fails' }
}

export interface GuideShellOptions {
  /** Where the files are. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** What is put in place of texts of the guide, in all commands. */
  readonly replaced?: readonly (readonly [text: string, by: string])[]
}

export interface GuideShell {
  /**
   * Takes the steps. Variables stay from one to the next.
   * @returns what each command has printed on stdout
   * @throws AssertionError when a command ends otherwise than the guide says
   */
  take(steps: readonly GuideStep[]): Promise<readonly string[]>
  close(): Promise<void>
}

export async function openGuideShell(options: GuideShellOptions): Promise<GuideShell> {
  const scratch = await mkdtemp(join(tmpdir(), 'cg-'))
  const child = spawn('sh', [], {
    cwd: options.cwd,
    env: options.env,
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
  })
  return new RunningShell(options, scratch, child)
}

class RunningShell implements GuideShell {
  readonly #options: GuideShellOptions
  readonly #scratch: string
  readonly #child: ChildProcess
  readonly #codes: Interface

  constructor(options: GuideShellOptions, scratch: string, child: ChildProcess) {
    const codes = child.stdio[3]
    assert.ok(codes != null && 'read' in codes)
    this.#options = options
    this.#scratch = scratch
    this.#child = child
    this.#codes = createInterface({ input: codes })
  }

  async take(steps: readonly GuideStep[]): Promise<readonly string[]> {
    assert.ok(steps.length > 0, 'the guide has no such steps')
    const printed: string[] = []
    for (const step of steps)
      if (step.kind === 'file') {
        const file = join(this.#options.cwd, step.path)
        await mkdir(dirname(file), { recursive: true })
        await writeFile(file, step.text)
      } else printed.push(await this.#run(step.command, step.ends))
    return printed
  }

  async #run(command: string, ends: number | 'fails'): Promise<string> {
    const { replaced = [] } = this.#options
    const given = replaced.reduce((text, [what, by]) => text.replaceAll(what, by), command)
    const [out, err] = [join(this.#scratch, 'out'), join(this.#scratch, 'err')]
    const ended = once(this.#codes, 'line')
    // the group runs in the shell itself, so that its variables stay
    this.#child.stdin?.write(`{ ${given}\n} </dev/null >'${out}' 2>'${err}'\necho $? >&3\n`)
    const [code] = await ended
    const [stdout, stderr] = await Promise.all([readFile(out, 'utf8'), readFile(err, 'utf8')])
    const said = `${command}\n${stdout}${stderr}`
    if (ends === 'fails') assert.notEqual(Number(code), 0, said)
    else assert.equal(Number(code), ends, said)
    return stdout
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await ended
    this.#codes.close()
    await rm(this.#scratch, { recursive: true, force: true })
  }
}
