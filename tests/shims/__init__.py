"""Libraries that stand in front of libc, compiled by the test that wants one."""
