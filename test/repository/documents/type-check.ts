/** Type-checks the TypeScript examples of documents, as somebody would write them who has the packages installed. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../repository-files.ts'
import type { CodeBlock } from './markdown-files.ts'

/** What an example may speak of without making it. */
const GIVEN = `import type { Agent, Log } from '@clawmesh/agent-sdk'
declare global {
  const agent: Agent
  const log: Log
}`

/** One fault for each error, as `docs/x.md:12: …`. */
export async function exampleFaults(blocks: readonly CodeBlock[]): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-examples-'))
  try {
    await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
    await writeFile(join(dir, 'package.json'), '{"type":"module"}')
    await writeFile(
      join(dir, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'esnext',
          lib: ['esnext'],
          types: ['node'],
          module: 'nodenext',
          moduleDetection: 'force',
          strict: true,
          skipLibCheck: true,
          noEmit: true,
          allowImportingTsExtensions: true,
        },
        include: ['*.ts'],
      }),
    )
    await writeFile(join(dir, 'given.d.ts'), GIVEN)
    await Promise.all(
      blocks.map(({ text }, index) => writeFile(join(dir, `example-${index}.ts`), text)),
    )
    const output = await new Promise<string>((resolve) => {
      execFile(
        process.execPath,
        [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', dir, '--pretty', 'false'],
        { cwd: dir },
        (error, stdout, stderr) => resolve(error === null ? '' : stdout + stderr),
      )
    })
    return (
      output
        .split('\n')
        // what is wrong in the packages themselves, their own check tells
        .filter((line) => /^example-\d+\.ts.*error TS|^error TS/.test(line))
        .map((line) =>
          line.replace(/^example-(\d+)\.ts\((\d+),\d+\)/, (_, index: string, row: string) => {
            const block = blocks[Number(index)]
            return `${block?.path}:${(block?.line ?? 0) + Number(row) - 1}`
          }),
        )
    )
  } finally {
    await rm(dir, { recursive: true })
  }
}
