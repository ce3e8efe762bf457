/** The measure that the clips' panel and its chart share. */

/** Height of one clip's bar with its space. */
export const ROW_PX = 44;
