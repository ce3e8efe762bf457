/** The rooms that the dashboard's panels live on. */

export const OVERVIEW = "dashboard:overview";
export const TRAINING = "voice:training";
export const CLIPS = "clips:analytics";
export const BROADCAST = "admin:broadcast";

export const DASHBOARD_ROOMS: readonly string[] = [OVERVIEW, TRAINING, CLIPS, BROADCAST];
