/** A time as Resource Manager writes it: seven fractional digits and an offset. */
export const armTime = (time: Date): string => `${time.toISOString().slice(0, -1)}0000+00:00`;
