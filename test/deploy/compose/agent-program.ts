/** An image for the agent of the stack: that of the gateway, with curl. */
import { realpathSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { librariesOf } from '../../../deploy/image/system-files.ts'
import { type Entry, tarOf } from '../../../deploy/image/tar.ts'
import type { Engine } from '../../support/containers/engine.ts'

export const AGENT_IMAGE = 'localhost/agent:1'
const CURL = '/usr/bin/curl'

/** @param base a reference that the engine has */
export async function buildAgentImage(engine: Engine, base: string, dir: string): Promise<void> {
  const context = join(dir, 'agent-image')
  await mkdir(context)
  const entries = [CURL, ...librariesOf(CURL)].map(
    (path): Entry => ({
      kind: 'file',
      path: path.slice(1),
      mode: 0o755,
      content: { file: realpathSync(path) },
    }),
  )
  const chunks: Buffer[] = []
  for await (const chunk of tarOf(entries, { epoch: 0 })) chunks.push(chunk)
  await writeFile(join(context, 'agent.tar'), Buffer.concat(chunks))
  await writeFile(join(context, 'Dockerfile'), `FROM ${base}\nADD agent.tar /\n`)
  await engine.client('build', '-t', AGENT_IMAGE, context)
  await rm(context, { recursive: true })
}
