import { z } from "zod";

/** Small parts of the REST API's bodies. */

/** Text that is one of a list in any case; comes out in the list's spelling. */
export const word = <T extends string>(values: readonly T[]) =>
  z
    .string()
    .transform((text) => values.find((value) => value.toLowerCase() === text.trim().toLowerCase()) ?? text)
    .pipe(z.enum(values));

/** Text without the character that ends a text in PostgreSQL's protocol: what comes after it would be read as something else. */
export const plainText = z.string().refine((text) => !text.includes("\0"), "holds a NUL character, which PostgreSQL does not know");

const NAME_BYTES_MAX = 63;

/** PostgreSQL cuts longer names off, and would go to another database. */
export const databaseName = plainText
  .min(1)
  .max(NAME_BYTES_MAX)
  .refine((text) => new TextEncoder().encode(text).length <= NAME_BYTES_MAX, `is longer than ${NAME_BYTES_MAX} bytes in UTF-8`);
