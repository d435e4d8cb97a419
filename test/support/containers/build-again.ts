/** Builds the image once more, in a process with another umask: build-again.ts DIRECTORY. Prints what it made as JSON. */
import { makeImage } from '../../../deploy/image/make-image.ts'
import { FIXED } from './built-image.ts'

const [out = ''] = process.argv.slice(2)
process.umask(0o077)
process.stdout.write(JSON.stringify(await makeImage({ out, ...FIXED })))
