import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endsWithinLine } from '../../../mesh-gateway/src/audit/torn-line.ts'

describe('a file that ends within a line', () => {
  let dir: string
  let path: string
  let file: FileHandle
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-torn-'))
    path = join(dir, 'audit.log')
    file = await open(path, 'a+')
  })
  afterEach(async () => {
    await file.close()
    await rm(dir, { recursive: true })
  })

  const judge = (there: string, meanwhile: string) => {
    appendFileSync(path, there)
    return endsWithinLine(file.fd, async () => appendFileSync(path, meanwhile))
  }

  it('was cut off when nothing comes after it', async () => {
    assert.equal(await judge('{"a":1}\n{"b":', ''), true)
  })

  it('is being written when more comes, whether that ends the line or not', async () => {
    assert.equal(await judge('{"a":1}\n{"b":', '2}\n'), false)
    assert.equal(await judge('{"c":', '{"d":'), false)
  })

  it('is none when it is empty or ends with its line, and nobody waits for that', async () => {
    const settle = () => assert.fail('there is nothing to wait for')
    assert.equal(await endsWithinLine(file.fd, settle), false)
    appendFileSync(path, '{"a":1}\n')
    assert.equal(await endsWithinLine(file.fd, settle), false)
  })
})
