/**
 * Texts of any code points, for properties. `fc.string({ unit: 'binary' })` makes a table of all of them first, which takes two
 * seconds of each process.
 */
import fc from 'fast-check'

/** All code points but surrogates, which are no text. */
const CODE_POINT = fc.oneof(
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xd7ff }) },
  { weight: 1, arbitrary: fc.integer({ min: 0xe000, max: 0x10ffff }) },
)

/** @param maxLength in code points. Default: that of an array of fast-check */
export function anyText({ maxLength }: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  const points = fc.array(CODE_POINT, maxLength === undefined ? {} : { maxLength })
  // fast-check's own strings bring names such as __proto__
  return fc.oneof(
    { weight: 4, arbitrary: points.map((all) => String.fromCodePoint(...all)) },
    { weight: 1, arbitrary: fc.string(maxLength === undefined ? {} : { maxLength }) },
  )
}
