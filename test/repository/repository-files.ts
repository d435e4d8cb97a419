/** The files of the repository: what is committed, and what would be with the next `git add`. Pictures have no text. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** What breaks a rule, as `path:line: what`. */
export type Rule = (file: SourceFile) => string[]

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export async function repositoryFiles(): Promise<SourceFile[]> {
  const { stdout } = await promisify(execFile)(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 },
  )
  const files: SourceFile[] = []
  for (const path of new Set(stdout.split('\0'))) {
    if (path === '') continue
    const bytes = await readFile(new URL(path, new URL('../../', import.meta.url))).catch(
      () => null,
    )
    // deleted in the work tree but not yet in git
    if (bytes === null) continue
    if (path.endsWith('.png')) files.push({ path, text: '' })
    else if (!bytes.includes(0)) files.push({ path, text: bytes.toString('utf8') })
  }
  return files
}

/** One fault for each line that the pattern matches. */
export function faultyLines(
  file: SourceFile,
  text: string,
  pattern: RegExp,
  what: string,
): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${what}`] : []))
}

export const PACKAGES = [
  'proto',
  'agent-sdk',
  'pki',
  'mesh-gateway',
  'mesh-agent',
  'openclaw-plugin',
] as const

/** The package whose sources a path is among, or null. */
export function packageOf(path: string): (typeof PACKAGES)[number] | null {
  return PACKAGES.find((name) => path.startsWith(`${name}/src/`)) ?? null
}

export function isTypeScript(path: string): boolean {
  return path.endsWith('.ts')
}
