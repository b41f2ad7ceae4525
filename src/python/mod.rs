//! What Ansible's language has from Python: regular expressions, replacements and file name patterns as Python reads them. Filters, modules
//! and host patterns use it; it uses nothing of ours.

pub mod fnmatch;
pub mod regex;
