/** Parses PEM (RFC 7468): blocks with a label; text between them is ignored, an incomplete block is refused. */
import { MeshError } from '@clawmesh/proto'

export interface PemBlock {
  readonly label: string
  readonly der: Buffer
}

export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** Every block, in order. @throws MeshError MESH_PKI_INVALID when one is truncated or is not base64. */
export function parsePem(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = []
  let label: string | null = null
  let body: string[] = []
  if (/-\0-\0|\0-\0-/.test(text))
    throw new MeshError('MESH_PKI_INVALID', 'it is UTF-16 text, as PowerShell writes it', {
      hint: 'save it as ASCII or UTF-8: Out-File -Encoding ascii',
    })
  // each part of a joined file may begin with a byte order mark, which would hide the block after it
  for (const line of text.split('\n').map((each) => withoutByteOrderMark(each).trimEnd())) {
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

/** Without the byte order mark that Windows editors put before UTF-8. */
export function withoutByteOrderMark(text: string): string {
  return text.replace(/^(?:\uFEFF|\u00EF\u00BB\u00BF)+/, '')
}

function decodeBase64(label: string, text: string): Buffer {
  const wellFormed = text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)
  if (!wellFormed) throw new MeshError('MESH_PKI_INVALID', `a PEM block ${label} is not base64`)
  return Buffer.from(text, 'base64')
}
