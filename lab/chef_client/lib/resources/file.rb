# file and cookbook_file: a file's content, owner and mode. Sources: docs.chef.io/resources/file and /cookbook_file.

require "digest"
require "etc"
require "fileutils"

class Chef
  class Resource
    # Owner, group and mode, which file, cookbook_file and directory share.
    class Owned < Resource
      property :path, String, from_name: true
      property :owner, [String, Integer]
      property :group, [String, Integer]
      property :mode, [String, Integer], coerce: ->(mode) { mode.is_a?(String) ? mode.to_i(8) : mode }

      # Brings owner, group and mode of an existing path to what was asked.
      module Permissions
        private

        def wanted_owner
          owner = new_resource.owner
          owner.is_a?(String) ? ::Etc.getpwnam(owner).uid : owner
        end

        def wanted_group
          group = new_resource.group
          group.is_a?(String) ? ::Etc.getgrnam(group).gid : group
        end

        def converge_permissions
          path = new_resource.path
          return unless ::File.exist?(path)

          found = ::File.stat(path)
          uid, gid, mode = wanted_owner, wanted_group, new_resource.mode
          if (uid && uid != found.uid) || (gid && gid != found.gid)
            converge_by("change owner from #{found.uid}:#{found.gid} to #{uid}:#{gid}") { ::File.chown(uid, gid, path) }
          end
          return if mode.nil? || mode == (found.mode & 0o7777)

          converge_by(format("change mode from %04o to %04o", found.mode & 0o7777, mode)) { ::File.chmod(mode, path) }
        end
      end
    end

    class File < Owned
      provides :file
      property :content, String
      property :backup, [Integer, false], default: false
      allowed_actions :create, :create_if_missing, :delete
      default_action :create

      class Provider < Chef::Provider
        include Owned::Permissions

        def action_create
          converge_content
          converge_permissions
        end

        def action_create_if_missing
          action_create unless ::File.exist?(new_resource.path)
        end

        def action_delete
          converge_by("delete file #{new_resource.path}") { ::File.delete(new_resource.path) } if ::File.exist?(new_resource.path)
        end

        private

        def wanted
          new_resource.content
        end

        def converge_content
          path = new_resource.path
          unless ::File.directory?(::File.dirname(path)) || why_run?
            raise Exceptions::EnclosingDirectoryDoesNotExist, "Parent directory #{::File.dirname(path)} does not exist."
          end
          content = wanted
          return if ::File.exist?(path) && (content.nil? || ::File.binread(path) == content.b)

          converge_by("#{::File.exist?(path) ? "update content in" : "create new"} file #{path}") { write(path, content.to_s) }
        end

        # Written beside its place and renamed, so that nobody ever reads half of it.
        def write(path, content)
          found = ::File.exist?(path) ? ::File.stat(path) : nil
          beside = "#{path}.chef-#{Process.pid}"
          ::File.open(beside, ::File::WRONLY | ::File::CREAT | ::File::EXCL, 0o600) do |file|
            file.binmode
            file.write(content)
            file.chmod(new_resource.mode || found&.mode || (0o666 & ~::File.umask))
            file.chown(wanted_owner || found&.uid, wanted_group || found&.gid)
          end
          ::File.rename(beside, path)
        ensure
          FileUtils.rm_f(beside) if beside
        end
      end
    end

    class CookbookFile < File
      provides :cookbook_file
      property :source, String
      property :cookbook, String
      allowed_actions :create, :create_if_missing, :delete
      default_action :create

      class Provider < File::Provider
        private

        def wanted
          cookbook = run_context.cookbook_collection[new_resource.cookbook || new_resource.cookbook_name]
          ::File.binread(cookbook.shipped_file(new_resource.source || ::File.basename(new_resource.name)))
        end
      end
    end

    class Directory < Owned
      provides :directory
      property :recursive, [true, false], default: false
      allowed_actions :create, :delete
      default_action :create

      class Provider < Chef::Provider
        include Owned::Permissions

        def action_create
          path = new_resource.path
          unless ::File.directory?(path)
            unless new_resource.recursive || ::File.directory?(::File.dirname(path)) || why_run?
              raise Exceptions::EnclosingDirectoryDoesNotExist, "Parent directory #{::File.dirname(path)} does not exist, cannot create #{path}"
            end
            converge_by("create new directory #{path}") { new_resource.recursive ? FileUtils.mkdir_p(path) : Dir.mkdir(path) }
          end
          converge_permissions
        end

        def action_delete
          path = new_resource.path
          return unless ::File.directory?(path)

          converge_by("delete existing directory #{path}") { new_resource.recursive ? FileUtils.rm_r(path) : Dir.rmdir(path) }
        end
      end
    end
  end
end
