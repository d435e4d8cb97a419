/** A Go module as its proxy has it, for what stands in it beside code. Go keeps it, and checks it against its sum. */
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'

/** The directory of `path@version`, read-only. @throws Error when Go is not there, or the module is not to be had */
export async function goModule(module: string): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', module], {
    // a directory of no module
    cwd: tmpdir(),
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/local/go/bin` },
  })
  const { Dir: dir } = Object(JSON.parse(stdout))
  if (typeof dir !== 'string') throw new TypeError(`go has not said where ${module} is: ${stdout}`)
  return dir
}
