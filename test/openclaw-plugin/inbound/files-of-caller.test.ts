import assert from 'node:assert/strict'
import type { Part } from '@clawmesh/agent-sdk'
import { fileInWords, imagesOf } from '../../../openclaw-plugin/src/inbound/files-of-caller.ts'

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const file = (bytes: Uint8Array, mediaType?: string) => ({
  ...{ kind: 'bytes' as const, bytes },
  ...(mediaType === undefined ? {} : { mediaType }),
})

describe('files that a caller sends with its request', () => {
  it('are images for the model when they are images, in their order, and 20 at most', () => {
    const jpeg = file(Buffer.from([0xff, 0xd8, 0xff, 0xe0]), 'image/jpeg')
    const parts: Part[] = [{ kind: 'text', text: 'look' }, file(PNG, 'IMAGE/png; charset=x'), jpeg]
    assert.deepEqual(imagesOf(parts), [
      { type: 'image', data: PNG.toString('base64'), mimeType: 'image/png' },
      { type: 'image', data: '/9j/4A==', mimeType: 'image/jpeg' },
    ])
    assert.equal(imagesOf(Array.from({ length: 30 }, () => jpeg)).length, 20)
    assert.equal(fileInWords(file(PNG, 'image/png')), '(an image, 8 bytes of image/png)')
  })

  it('are no images by their name alone: a provider would refuse the whole turn', () => {
    for (const part of [
      file(Buffer.from('<svg/>'), 'image/png'),
      file(PNG, 'image/jpeg'),
      file(PNG, 'image/svg+xml'),
      file(PNG),
      file(Buffer.alloc(0), 'image/png'),
    ])
      assert.deepEqual(imagesOf([part]), [])
  })

  it('are text when they are text, between two lines that say so', () => {
    for (const type of ['text/csv', 'text/markdown; charset=utf-8', 'application/ld+json'])
      assert.match(
        fileInWords(file(Buffer.from('a;b\n1;ü'), type)),
        /^\(a file, 8 bytes of [\w/+]+:\)\na;b\n1;ü\n\(end of the file\)$/,
      )
  })

  it('are named, and not shown, when they are anything else', () => {
    for (const part of [
      file(Buffer.from([1, 2, 3, 4]), 'application/pdf'),
      file(Buffer.from('a\0b\n'), 'text/plain'),
      file(Buffer.from([0xc3, 0x28, 0x20, 0x20]), 'text/plain'),
    ])
      assert.match(fileInWords(part), /^\(4 bytes of [\w/]+, which are not shown\)$/)
    assert.equal(
      fileInWords(file(Buffer.from('text'))),
      '(4 bytes of binary data, which are not shown)',
    )
  })
})
