module OpensslPatch
  # Which packages the advisories are about, OpenSSL's say, by platform family.
  module Platform
    # Returns their names. Raises, naming the platform, where the attributes have none: a run that did nothing would look fine.
    def self.packages(node)
      known = node['openssl_patch']['packages']
      known[node['platform_family']] ||
        raise("openssl_patch does not know which packages to upgrade on #{node['platform']} (#{node['platform_family']}): it knows the " \
              "platform families #{known.keys.sort.join(', ')}. Where yours has other names, give the resource its `packages`.")
    end
  end
end
