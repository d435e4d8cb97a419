/** The image that holds the namespaces of a pod: one static program, made with the same code as the image of deploy/image. */
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { imageOf } from '../../../deploy/image/oci.ts'
import { tarOf } from '../../../deploy/image/tar.ts'
import { goTool } from '../tools/go-tool.ts'

/** The archive that `ctr images import` takes. */
export async function makePauseArchive(dir: string, reference: string): Promise<string> {
  const content = await readFile(goTool('pause'))
  const layer = await gather(
    tarOf([{ kind: 'file', path: 'pause', mode: 0o755, content }], { epoch: 0 }),
  )
  const { entries } = imageOf({
    layer: gzipSync(layer),
    layerDiffId: `sha256:${createHash('sha256').update(layer).digest('hex')}`,
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    ...{ epoch: 0, reference, labels: {} },
    run: {
      ...{ User: '65535:65535', Entrypoint: ['/pause'], Cmd: [], Env: [], WorkingDir: '/' },
      ...{ ExposedPorts: {}, StopSignal: 'SIGTERM' },
    },
  })
  const archive = join(dir, 'pause.tar')
  await writeFile(archive, await gather(tarOf(entries, { epoch: 0 })))
  return archive
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}
