/** Row id of an enrolment (one per channel): what tables and effects use inside the server. */
export type EnrollmentRef = number;

/** Apple's two channels. A user channel belongs to a device channel and has its own token and queue (IDN-05, PSH-04). */
export type Channel = 'device' | 'user';

/** NanoMDM's type strings, kept because its API and webhooks are what people already script against. */
export type EnrollmentType = 'Device' | 'User' | 'User Enrollment (Device)' | 'User Enrollment' | 'Shared iPad';
