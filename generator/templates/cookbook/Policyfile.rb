# A policy that holds this cookbook alone: for its specs, and to begin one of your own with.
# https://docs.chef.io/policyfile/

name 'openssl_patch'
default_source :supermarket
run_list 'openssl_patch::default'
named_run_list :report, 'openssl_patch::report'
cookbook 'openssl_patch', path: '.'
