import { z } from "zod";

/** A variable of the environment that may be left out; set to nothing, as templates and compose files do, it is left out too. */
export const optionalText = z
  .string()
  .trim()
  .optional()
  .transform((value) => value || undefined);
