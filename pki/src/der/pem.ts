/** PEM as RFC 7468 has it: blocks with a label; text between them is left alone, half a block is refused. */
import { MeshError } from '@clawmesh/proto'

export interface PemBlock {
  readonly label: string
  readonly der: Buffer
}

export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** Every block, in order. @throws MeshError MESH_PKI_INVALID when one is cut short or is not base64. */
export function parsePem(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = []
  let label: string | null = null
  let body: string[] = []
  // editors of Windows put a byte order mark before UTF-8; without this the first block would be a comment
  const unmarked = text.replace(/^(?:\uFEFF|\u00EF\u00BB\u00BF)/, '')
  for (const line of unmarked.split('\n').map((each) => each.trimEnd())) {
    const begin = /^-----BEGIN ([A-Z0-9 ]{1,64})-----$/.exec(line)?.[1]
    if (label === null) {
      if (begin === undefined) continue
      label = begin
      body = []
    } else if (line === `-----END ${label}-----`) {
      blocks.push({ label, der: decodeBase64(label, body.join('')) })
      label = null
    } else if (line.startsWith('-----')) {
      throw new MeshError('MESH_PKI_INVALID', `a PEM block ${label} is cut short`)
    } else body.push(line.trim())
  }
  if (label !== null) throw new MeshError('MESH_PKI_INVALID', `a PEM block ${label} is cut short`)
  return blocks
}

function decodeBase64(label: string, text: string): Buffer {
  const wellFormed = text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)
  if (!wellFormed) throw new MeshError('MESH_PKI_INVALID', `a PEM block ${label} is not base64`)
  return Buffer.from(text, 'base64')
}
